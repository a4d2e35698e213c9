// Put the page together.

function followTheme() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const name = () => { button.textContent = dark() ? "Light" : "Dark"; button.setAttribute("aria-label", `Show the page ${dark() ? "light" : "dark"}`); };
  button.hidden = false;
  button.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);
  name();
}

function markInitialAverage(report) {
  const { initialAverage, radius, pixelSize } = report;
  if (!initialAverage) return;
  const marks = discMarks(initialAverage.box, radius, pixelSize, initialAverage.centre);
  document.getElementById("initial-marks").replaceWith(marks);
}

function start() {
  const report = JSON.parse(document.getElementById("report-data").textContent);
  followTheme();
  markInitialAverage(report);
  let page = null;
  const gallery = new Gallery(report, (k) => page.open(k));
  page = new ClassPage(report, gallery);
  new Comparison(report, gallery);
  const follow = () => {
    const number = Number(/^#class-(\d+)$/.exec(location.hash)?.[1]);
    if (number >= 1 && number <= gallery.count) page.open(number - 1);
  };
  addEventListener("hashchange", follow);
  follow();
}

start();
