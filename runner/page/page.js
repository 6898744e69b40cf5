// Shows only the samples that are asked for, and opens all that is folded for print. Without it all is there to read.
(function () {
  "use strict";
  function id(name) { return document.getElementById(name); }
  function all(what) { return Array.from(document.querySelectorAll(what)); }
  var box = id("filter"), told = id("filtered"), suite = id("of-suite"), verdict = id("of-verdict");
  var rows = all("details.sample"), folds = all("#samples details.more"), parts = all(".group, .suite");
  var texts = rows.map(function (row) { return row.textContent.toLowerCase(); });
  function apply() {
    var words = box.value.toLowerCase().split(/\s+/).filter(Boolean), n = 0;
    var of = suite ? suite.value : "", how = verdict ? verdict.value : "";
    var asked = words.length > 0 || of !== "" || how !== "";
    rows.forEach(function (row, i) {
      row.hidden = !words.every(function (word) { return texts[i].includes(word); })
        || (of !== "" && row.closest(".suite").dataset.suite !== of)
        || (how !== "" && row.dataset.verdict !== how);
      n += row.hidden ? 0 : 1;
    });
    folds.forEach(function (fold) { fold.open = asked; });
    parts.concat(folds).forEach(function (part) { part.hidden = !part.querySelector("details.sample:not([hidden])"); });
    told.textContent = asked ? n + " of " + rows.length + " samples" : "";
  }
  [box, suite, verdict].forEach(function (one) { if (one) { one.addEventListener("input", apply); } });
  box.closest(".filters").hidden = false;
  var shut = [];
  window.addEventListener("beforeprint", function () {
    shut = all("details:not([open])");
    shut.forEach(function (one) { one.open = true; });
  });
  window.addEventListener("afterprint", function () { shut.forEach(function (one) { one.open = false; }); });
})();
