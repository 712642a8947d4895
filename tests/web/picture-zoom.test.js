import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import "./browser.js";
import { Zoom, limitedOffset, zoomedAt } from "../../chalicelib/web/picture-zoom.js";

describe("picture-zoom", () => {
  let frame, picture, swipes, zoom;

  beforeEach(() => {
    frame = document.createElement("div");
    picture = document.createElement("img");
    frame.append(picture);
    document.body.append(frame);
    const sizes = { offsetWidth: 400, offsetHeight: 300, naturalWidth: 1200, naturalHeight: 600 };
    for (const [name, value] of Object.entries(sizes)) Object.defineProperty(picture, name, { value });
    for (const [name, value] of Object.entries({ clientWidth: 400, clientHeight: 300 })) {
      Object.defineProperty(frame, name, { value });
    }
    frame.getBoundingClientRect = () => ({ left: 0, top: 0, width: 400, height: 300 });
    frame.setPointerCapture = () => {};
    swipes = [];
    zoom = new Zoom(frame, picture, { onSwipe: (step) => swipes.push(step), onZoom: () => {} });
  });

  afterEach(() => frame.remove());

  const percent = () => zoom.controls.querySelector(".percent").textContent;

  /** Dispatch an event at a point of the frame. */
  function dispatch(type, clientX, clientY, properties = {}) {
    const event = new Event(type, { cancelable: true });
    frame.dispatchEvent(Object.assign(event, { clientX, clientY, button: 0, pointerId: 1, ...properties }));
    return event;
  }

  const touch = (type, x, y, pointerId = 1) => dispatch(type, x, y, { pointerType: "touch", pointerId });

  test("the point under the pointer stays where it is", () => {
    const place = { scale: 2, x: 10, y: -20 };
    const next = zoomedAt(place, 4, { x: 100, y: 50 });
    assert.equal((100 - next.x) / next.scale, (100 - place.x) / place.scale);
    assert.equal((50 - next.y) / next.scale, (50 - place.y) / place.scale);
  });

  test("no gap is left beside a picture", () => {
    assert.equal(limitedOffset(500, 800, 400), 200);
    assert.equal(limitedOffset(-500, 800, 400), -200);
    assert.equal(limitedOffset(50, 300, 400), 0);
  });

  test("steps zoom between 100 and 800 percent", () => {
    zoom.step(1);
    assert.equal(percent(), "150 %");
    for (let count = 0; count < 9; count += 1) zoom.step(1);
    assert.equal(percent(), "800 %");
    zoom.reset();
    zoom.step(-1);
    assert.equal(percent(), "100 %");
    assert.equal(picture.style.transform, "");
  });

  test("a double click zooms in and back", () => {
    dispatch("dblclick", 200, 150);
    assert.equal(percent(), "250 %");
    dispatch("dblclick", 200, 150);
    assert.equal(percent(), "100 %");
  });

  test("the wheel zooms, and scrolls the page if it cannot zoom out", () => {
    assert.equal(dispatch("wheel", 200, 150, { deltaY: 100, deltaMode: 0 }).defaultPrevented, false);
    assert.equal(dispatch("wheel", 200, 150, { deltaY: -100, deltaMode: 0 }).defaultPrevented, true);
    assert.equal(percent(), "122 %");
  });

  test("a zoomed picture is moved by the pointer up to its edge", () => {
    dispatch("dblclick", 200, 150);
    dispatch("pointerdown", 200, 150);
    dispatch("pointermove", 1200, 150);
    assert.match(picture.style.transform, /^translate\(300px, 0px\)/);
  });

  test("two fingers zoom", () => {
    touch("pointerdown", 150, 150);
    touch("pointerdown", 250, 150, 2);
    touch("pointermove", 350, 150, 2);
    assert.equal(percent(), "200 %");
    assert.deepEqual(swipes, []);
  });

  test("a swipe leads to a neighbour", () => {
    touch("pointerdown", 300, 150);
    touch("pointermove", 200, 155);
    touch("pointerup", 200, 155);
    touch("pointerdown", 100, 150);
    touch("pointerup", 200, 150);
    assert.deepEqual(swipes, [1, -1]);
  });

  test("short, vertical and cancelled movements are no swipes", () => {
    for (const [x, y, end] of [[270, 150, "pointerup"], [200, 300, "pointerup"], [100, 150, "pointercancel"]]) {
      touch("pointerdown", 300, 150);
      touch(end, x, y);
    }
    assert.deepEqual(swipes, []);
    assert.equal(picture.style.transform, "");
  });

  test("a mouse and a zoomed picture do not swipe", () => {
    dispatch("pointerdown", 300, 150, { pointerType: "mouse" });
    dispatch("pointerup", 100, 150, { pointerType: "mouse" });
    dispatch("dblclick", 200, 150);
    touch("pointerdown", 300, 150);
    touch("pointerup", 100, 150);
    assert.deepEqual(swipes, []);
  });
});
