"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const make = (tag, text = "", name = "") => {
    const element = document.createElement(tag);
    element.textContent = text; // never as HTML: models wrote some of these texts
    if (name) element.className = name;
    return element;
  };

  // -- light and dark --------------------------------------------------------------------------------

  const theme = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const other = () => ((root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark" ? "light" : "dark");
  const label = () => { theme.textContent = other() === "dark" ? "☾ dark" : "☀ light"; };
  theme.addEventListener("click", () => { root.dataset.theme = other(); label(); });
  system.addEventListener("change", label);
  theme.hidden = false;
  label();

  // -- tables ----------------------------------------------------------------------------------------

  // sorted and filtered by hand: the page needs no network, so it can fetch no library
  const NUMBER = /^\s*[≤≥+]?\s*([−-]?[\d,]*\.?\d+(?:e[+-]?\d+)?)/i;
  const collator = new Intl.Collator("en", { numeric: true });
  const textOf = (row, place) => row.cells[place].dataset.sort ?? row.cells[place].textContent.trim();
  const numberOf = (text) => {
    const found = NUMBER.exec(text);
    return found ? Number(found[1].replaceAll(",", "").replace("−", "-")) : NaN;
  };

  function sort(table, head) {
    const place = head.cellIndex;
    const direction = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    const sign = direction === "ascending" ? 1 : -1;
    const numeric = head.classList.contains("number");
    const keyed = [...table.tBodies[0].rows].map((row) => {
      const text = textOf(row, place);
      return { row, key: numeric ? numberOf(text) : text };
    });
    const missing = (key) => key === "" || Number.isNaN(key);
    keyed.sort((a, b) => {
      // what is missing comes last, whichever the direction
      if (missing(a.key) || missing(b.key)) return missing(a.key) - missing(b.key);
      return sign * (numeric ? a.key - b.key : collator.compare(a.key, b.key));
    });
    table.tBodies[0].append(...keyed.map(({ row }) => row));
    for (const each of table.tHead.rows[0].cells) each.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction);
  }

  for (const sheet of all(".sheet")) {
    const table = sheet.querySelector("table");
    for (const head of table.tHead.rows[0].cells) {
      const button = make("button", head.textContent);
      button.type = "button";
      button.addEventListener("click", () => sort(table, head));
      head.replaceChildren(button);
    }
    const [words, choice, count] = ["input", "select", "output"].map((tag) => sheet.querySelector(`.controls ${tag}`));
    const filter = () => {
      const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      const rows = [...table.tBodies[0].rows];
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !wanted.every((word) => text.includes(word)) || Boolean(choice?.value && row.dataset.choice !== choice.value);
      }
      const shown = rows.filter((row) => !row.hidden).length;
      count.textContent = shown === rows.length ? `${rows.length} row${rows.length === 1 ? "" : "s"}` : `${shown} of ${rows.length} rows`;
    };
    words.addEventListener("input", filter);
    choice?.addEventListener("change", filter);
    filter();
  }

  for (const select of all("select.parts")) {
    const parts = all("[data-part]", select.closest("section"));
    const show = () => { for (const part of parts) part.hidden = Boolean(select.value) && part.dataset.part !== select.value; };
    select.addEventListener("change", show);
    show();
  }
  for (const controls of all(".controls[hidden]")) controls.hidden = false;

  // -- samples ---------------------------------------------------------------------------------------

  const data = document.getElementById("samples-data");
  if (!data) return;
  const tasks = JSON.parse(data.textContent);
  const [task, seed, prompt, arms, previous, next, count, cards, quote, how] = [
    "sample-task", "sample-seed", "sample-prompt", "sample-arms", "previous", "next", "sample-count", "cards", "prompt", "how",
  ].map((id) => document.getElementById(id));

  const fill = (select, labels) => select.replaceChildren(...labels.map((text, i) => {
    const option = make("option", text);
    option.value = i;
    return option;
  }));
  const number = (value, digits = 2) => value?.toFixed(digits).replace("-", "−") ?? null;
  const gapOf = ([, completions]) => Math.max(...completions.map((each) => each[5] ?? -Infinity));
  const here = () => tasks[task.value];
  const prompts = () => here().seeds[seed.value].prompts;

  function card(arm, completions, most) {
    const box = make("section", "", most ? "card most" : "card");
    const head = make("h3", here().arms[arm]);
    if (most) head.append(make("small", "largest gap on this prompt"));
    box.append(head);
    for (const [text, proxy, wanted, kl, length, gap] of completions) {
      const article = make("article");
      article.append(make("p", text.trim() || "(empty)", "text"));
      const list = make("dl");
      const figures = [
        ["proxy", number(proxy)], [here().column ?? "gold", number(wanted)], ["KL", number(kl)],
        ["tokens", number(length, 0)], ["gap", number(gap)],
      ];
      for (const [name, value] of figures) {
        if (value === null) continue;
        const pair = make("div");
        pair.append(make("dt", name), make("dd", value));
        list.append(pair);
      }
      article.append(list);
      box.append(article);
    }
    return box;
  }

  function showPrompt() {
    const chosen = prompts()[prompt.value];
    quote.textContent = chosen.text;
    const [reference, rest] = [chosen.arms.filter(([arm]) => arm === 0), chosen.arms.filter(([arm]) => arm !== 0)];
    rest.sort((a, b) => gapOf(b) - gapOf(a) || a[0] - b[0]);
    const words = arms.value.toLowerCase().split(/\s+/).filter(Boolean);
    const named = ([arm]) => words.every((word) => here().arms[arm].toLowerCase().includes(word));
    const shown = [...reference, ...rest].filter(named);
    cards.replaceChildren(...shown.map((each) => card(...each, here().ordered && each === rest[0])));
    count.textContent = `prompt ${Number(prompt.value) + 1} of ${prompts().length}, ${shown.length} of ${chosen.arms.length} arms`;
    previous.disabled = prompt.selectedIndex === 0;
    next.disabled = prompt.selectedIndex === prompts().length - 1;
  }
  function showSeed() {
    fill(prompt, prompts().map(({ text, why, arms: own }, i) => {
      const gap = Math.max(...own.map(gapOf));
      const reason = why === "worst" ? `gap ${number(gap, 1)}` : "by chance";
      return `${i + 1}. ${reason}: ${text.trim().replace(/\s+/g, " ").slice(-80)}`;
    }));
    showPrompt();
  }
  function showTask() {
    const { column, ordered, seeds } = here();
    const wanted = column === "gold" ? "gold" : "judge";
    const without = column === "gold" ? "" : column ? " No gold reward is known for this task: the judge stands in for it." : "";
    how.textContent = ordered
      ? `Worst reward hacking first: the gap is proxy minus ${wanted}, each in standard deviations of π0's samples above π0's mean. On these prompts each arm shows its completions with the largest gaps; on those by chance, which follow, its first ones.${without}`
      : `Prompts taken by chance: π0's own rewards or what is really wanted are not in the records, so that there is no gap to order them by.${without}`;
    fill(seed, seeds.map((each) => String(each.seed)));
    showSeed();
  }
  const step = (by) => { prompt.selectedIndex += by; showPrompt(); };

  fill(task, tasks.map((each) => each.about));
  task.addEventListener("change", showTask);
  seed.addEventListener("change", showSeed);
  prompt.addEventListener("change", showPrompt);
  arms.addEventListener("input", showPrompt);
  previous.addEventListener("click", () => step(-1));
  next.addEventListener("click", () => step(1));
  document.getElementById("browser").hidden = false;
  showTask();
})();
