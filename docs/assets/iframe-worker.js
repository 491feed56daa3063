// A page that was opened from disk may start no Worker, and the search of this site is one. This class does the work of
// a Worker in a frame without a size instead, where the page may look in. The theme looks for the name IFrameWorker.
(function () {
  "use strict";
  if (location.protocol !== "file:") return;

  class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      const source = new URL(url, location.href).href;
      const frame = document.createElement("iframe");
      frame.hidden = true;
      frame.title = "Search";
      this.ready = new Promise((resolve, reject) => {
        frame.addEventListener("load", () => {
          const inside = frame.contentWindow;
          inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
          inside.importScripts = (...urls) =>
            urls.reduce((before, next) => before.then(() => load(inside.document, next)), Promise.resolve());
          load(inside.document, source).then(() => resolve(inside), reject);
        }, { once: true });
      });
      document.documentElement.appendChild(frame);
    }

    postMessage(data) {
      this.ready.then((inside) => inside.dispatchEvent(new MessageEvent("message", { data })));
    }
  }

  function load(target, source) {
    return new Promise((resolve, reject) => {
      const script = target.createElement("script");
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${source}: cannot be loaded`));
      script.src = source;
      target.head.appendChild(script);
    });
  }

  window.IFrameWorker = window.Worker = IFrameWorker;
})();
