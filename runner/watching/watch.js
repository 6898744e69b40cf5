// Looks again every second or two, and puts in place the parts of the page that have changed. Without this script the
// page loads itself anew every ten seconds.
(function () {
  "use strict";
  var every = 1000 * Number(document.body.dataset.every), at = document.body.dataset.at, tag = null, lost = 0;
  var gone = document.getElementById("gone");

  function parts(root) {
    return Array.from(root.querySelectorAll("[data-part]"));
  }
  function keys(list) {
    return list.map(function (one) { return one.dataset.part; }).join("\n");
  }
  function put(old, next) {
    var down = old.scrollTop + old.clientHeight >= old.scrollHeight - 4, top = old.scrollTop;
    var held = document.activeElement && old.contains(document.activeElement) ? document.activeElement.id : "";
    var chosen = Array.from(old.querySelectorAll("input:checked"), function (box) { return box.id; });
    next = document.importNode(next, true);
    old.replaceWith(next);
    chosen.forEach(function (id) { var box = document.getElementById(id); if (box && !box.disabled) box.checked = true; });
    if (next.classList.contains("log")) next.scrollTop = down ? next.scrollHeight : top;
    if (held && document.getElementById(held)) document.getElementById(held).focus({ preventScroll: true });
  }
  function show(text) {
    var page = new DOMParser().parseFromString(text, "text/html");
    var main = document.getElementById("main"), old = parts(main), next = parts(page);
    if (!page.getElementById("main")) return;
    if (keys(old) === keys(next)) {
      old.forEach(function (one, i) { if (one.outerHTML !== next[i].outerHTML) put(one, next[i]); });
    } else {
      put(main, page.getElementById("main"));
      end();
    }
    document.title = page.title;
    every = 1000 * Number(page.body.dataset.every || 0);
    count();
  }
  // Boxes that are ticked are the reader's: what the server says of them is not taken for a change.
  function count() {
    var told = document.getElementById("chosen"), n = document.querySelectorAll("input[name=run]:checked").length;
    if (told) told.textContent = n > 1 ? n + " runs" : n ? "One run; choose another." : "Choose two or more.";
  }
  function end() {
    var log = document.getElementById("log");
    if (log) log.scrollTop = log.scrollHeight;
  }
  function look() {
    if (document.hidden) return;
    fetch(at, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store", redirect: "error" })
      .then(function (answer) {
        if (!answer.ok && answer.status !== 304) throw new Error(String(answer.status));
        lost = 0;
        gone.textContent = "";
        if (answer.status === 304) return;
        tag = answer.headers.get("ETag");
        return answer.text().then(show);
      })
      .catch(function () {
        lost += 1;
        gone.textContent = "It does not answer any more: this page stands still.";
      })
      .finally(later);
  }
  var waiting = 0;
  function later() {
    clearTimeout(waiting);
    if (every) waiting = setTimeout(look, every * Math.min(1 + lost, 10));
  }
  document.addEventListener("visibilitychange", function () { if (!document.hidden && every) look(); });
  document.addEventListener("change", count);
  count();
  end();
  later();
})();
