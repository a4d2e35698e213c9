#!/bin/sh
# Have the torch that constraints.txt names, for the tests of the torch backend on the processor.
# Where it cannot be had those tests are skipped, and say so.
# Use: install_torch.sh PYTHON REQUIREMENT|no
set -u
python=$1
torch=$2
if [ "$torch" = no ]; then
    echo 'torch is not wanted (TORCH=no): unless it is there, its tests will be skipped' >&2
    exit 0
fi
# a build for some GPU (2.13.0+cu130) is as good
there=$("$python" -c 'from importlib.metadata import version; print(version("torch"))' 2>/dev/null)
if [ "torch==${there%%+*}" = "$torch" ]; then
    exit 0
fi
echo "Installing $torch for the tests of --device"
if ! "$python" -m pip --disable-pip-version-check install --quiet --constraint constraints.txt \
    "$torch"; then
    echo "$torch could not be installed here: the tests of the torch backend will be skipped" >&2
fi
exit 0
