"use strict";
// Sorts tables by a click on a head, filters the verdicts, and opens everything for print. The page reads without it.

const cellOf = (row, column) => row.cells[column];

function compare(a, b, column, numeric, sign) {
  const x = cellOf(a, column), y = cellOf(b, column);
  if (!numeric) return sign * x.textContent.localeCompare(y.textContent, "en", { numeric: true });
  const known = [x, y].map((cell) => cell.dataset.key !== undefined);
  if (!known[0] || !known[1]) return known[1] - known[0]; // nothing comes last either way
  return sign * (Number(x.dataset.key) - Number(y.dataset.key));
}

function sort(table, head) {
  const heads = [...table.tHead.rows[0].cells], column = heads.indexOf(head);
  const numeric = head.classList.contains("number");
  const before = head.getAttribute("aria-sort");
  const first = numeric ? "descending" : "ascending", other = numeric ? "ascending" : "descending";
  const order = before === first ? other : first;
  heads.forEach((each) => each.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", order);
  const body = table.tBodies[0], sign = order === "ascending" ? 1 : -1;
  body.append(...[...body.rows].sort((a, b) => compare(a, b, column, numeric, sign)));
}

for (const table of document.querySelectorAll("table.sortable")) {
  for (const head of table.tHead.rows[0].cells) {
    if (!head.textContent) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, head));
  }
}

const controls = document.querySelector(".controls");
if (controls) {
  const filter = controls.querySelector("input"), buttons = [...controls.querySelectorAll("button")];
  const rows = [...document.querySelectorAll("#table-verdicts tbody tr")];
  let shown = "";
  const apply = () => {
    const word = filter.value.trim().toLowerCase();
    for (const row of rows) {
      const named = row.cells[0].textContent.toLowerCase().includes(word);
      row.hidden = !named || (shown !== "" && row.dataset.verdict !== shown);
    }
    const left = rows.filter((row) => !row.hidden).length;
    controls.querySelector("output").textContent = `${left} of ${rows.length} rows`;
  };
  filter.addEventListener("input", apply);
  for (const button of buttons) {
    button.addEventListener("click", () => {
      shown = button.dataset.show;
      buttons.forEach((each) => each.setAttribute("aria-pressed", String(each === button)));
      apply();
    });
  }
  controls.hidden = false;
  apply();
}

let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  opened.forEach((each) => { each.open = true; });
});
addEventListener("afterprint", () => opened.forEach((each) => { each.open = false; }));
