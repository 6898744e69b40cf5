// Shows only the samples that hold every word typed. Without this script all are there to read.
(function () {
  "use strict";
  var box = document.getElementById("filter"), told = document.getElementById("filtered");
  var rows = Array.from(document.querySelectorAll("details.sample"));
  var folds = Array.from(document.querySelectorAll("details.more"));
  var texts = rows.map(function (row) { return row.textContent.toLowerCase(); });
  function apply() {
    var words = box.value.toLowerCase().split(/\s+/).filter(Boolean), n = 0;
    rows.forEach(function (row, i) {
      row.hidden = !words.every(function (word) { return texts[i].includes(word); });
      n += row.hidden ? 0 : 1;
    });
    folds.forEach(function (fold) { fold.open = words.length > 0; });
    told.textContent = words.length ? n + " of " + rows.length + " samples" : "";
  }
  box.addEventListener("input", apply);
  box.closest("p").hidden = false;
})();
