#!/bin/sh
# Have a chromium for the browser tests: the one that is there, else Debian's when root may install
# it. Without one those tests are skipped, and say so.
set -u
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then
        exit 0
    fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo 'Installing chromium for the browser tests'
    export DEBIAN_FRONTEND=noninteractive
    if apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; then
        exit 0
    fi
fi
echo 'chromium could not be installed here: the browser tests will be skipped' \
     '(as root on Debian or Ubuntu: apt-get install chromium)' >&2
exit 0
