// The picture in the viewer: zoom and pan by wheel, pointer, touch and keys, and swipes to its neighbours.

import { button, h } from "./dom.js";

const MAX_SCALE = 8;
const STEP = 1.5;
const DOUBLE_CLICK_SCALE = 2.5;
const MIN_SWIPE = 48; // pixels

/** @typedef {{x: number, y: number}} Point */

/** @param {Point} one @param {Point} other */
const distance = (one, other) => Math.hypot(one.x - other.x, one.y - other.y);

/**
 * Return where a picture is after its scale has changed around a point. All are measured from the frame's centre.
 * @param {{scale: number, x: number, y: number}} place
 * @param {number} scale
 * @param {Point} point that stays where it is
 */
export function zoomedAt(place, scale, point) {
  const ratio = scale / place.scale;
  return { scale, x: point.x - (point.x - place.x) * ratio, y: point.y - (point.y - place.y) * ratio };
}

/**
 * Return an offset that leaves no gap beside a picture, or centres it if it is smaller than the frame.
 * @param {number} offset
 * @param {number} size of the picture
 * @param {number} space of the frame
 */
export function limitedOffset(offset, size, space) {
  const most = Math.max(0, (size - space) / 2);
  return Math.min(most, Math.max(-most, offset)) + 0; // not -0
}

/** The zoom of one picture in its frame. */
export class Zoom {
  #frame;
  #picture;
  #options;
  #place = { scale: 1, x: 0, y: 0 };
  /** Where pointers are, by their id. @type {Map<number, Point>} */
  #pointers = new Map();
  /** Where a touch that may be a swipe has started. @type {Point | null} */
  #swipeStart = null;
  #percent = h("button", { type: "button", class: "percent", "data-key": "zoom-reset", onclick: () => this.reset() });

  /**
   * @param {HTMLElement} frame
   * @param {HTMLImageElement} picture
   * @param {{onSwipe: (step: -1 | 1) => void, onZoom: (scale: number) => void}} options
   */
  constructor(frame, picture, options) {
    this.#frame = frame;
    this.#picture = picture;
    this.#options = options;
    this.controls = h("div", { class: "zoom", role: "group", "aria-label": "Zoom" },
      button("−", () => this.step(-1), { "aria-label": "Zoom out", title: "Zoom out (−)", "data-key": "zoom-out" }),
      this.#percent,
      button("+", () => this.step(1), { "aria-label": "Zoom in", title: "Zoom in (+)", "data-key": "zoom-in" }));
    frame.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
    frame.addEventListener("dblclick", (event) => this.#onDoubleClick(event));
    frame.addEventListener("pointerdown", (event) => this.#onPointerDown(event));
    frame.addEventListener("pointermove", (event) => this.#onPointerMove(event));
    frame.addEventListener("pointerup", (event) => this.#onPointerUp(event));
    frame.addEventListener("pointercancel", (event) => this.#onPointerUp(event));
    picture.draggable = false;
    this.#apply();
  }

  /** Zoom in or out around the centre. @param {-1 | 1} direction */
  step(direction) {
    this.#zoomTo(this.#place.scale * STEP ** direction, { x: 0, y: 0 });
  }

  reset() {
    this.#zoomTo(1, { x: 0, y: 0 });
  }

  // ----------------------------------------------------------------------------------------------------------- drawing

  /** @param {number} scale @param {Point} point */
  #zoomTo(scale, point) {
    this.#place = zoomedAt(this.#place, Math.min(MAX_SCALE, Math.max(1, scale)), point);
    this.#apply();
  }

  /** Show the picture at its place, without gaps beside it. */
  #apply() {
    const { scale, x, y } = this.#place;
    const { clientWidth, clientHeight } = this.#frame;
    const size = this.#shownSize();
    this.#place = {
      scale,
      x: limitedOffset(x, size.width * scale, clientWidth),
      y: limitedOffset(y, size.height * scale, clientHeight),
    };
    const isZoomed = scale > 1;
    this.#draw(this.#place);
    this.#frame.classList.toggle("zoomed", isZoomed);
    this.#percent.textContent = `${Math.round(scale * 100)} %`;
    this.#percent.setAttribute("aria-label", `${Math.round(scale * 100)} %, reset the zoom`);
    if (isZoomed) this.#options.onZoom(scale);
  }

  /** @param {{scale: number, x: number, y: number}} place */
  #draw({ scale, x, y }) {
    this.#picture.style.transform = scale === 1 && x === 0 ? "" : `translate(${x}px, ${y}px) scale(${scale})`;
  }

  /** Return the size of the picture at scale 1, which its element may exceed (CSS, "object-fit: contain"). */
  #shownSize() {
    const { offsetWidth: width, offsetHeight: height, naturalWidth, naturalHeight } = this.#picture;
    const fit = Math.min(width / naturalWidth, height / naturalHeight) || 0;
    return { width: naturalWidth * fit, height: naturalHeight * fit };
  }

  /** Return a point from the frame's centre. @param {MouseEvent} event @returns {Point} */
  #pointOf({ clientX, clientY }) {
    const { left, top, width, height } = this.#frame.getBoundingClientRect();
    return { x: clientX - left - width / 2, y: clientY - top - height / 2 };
  }

  // ------------------------------------------------------------------------------------------------------------ events

  /** @param {WheelEvent} event */
  #onWheel(event) {
    if (this.#place.scale === 1 && event.deltaY > 0) return; // The page may scroll.
    event.preventDefault();
    const pixels = event.deltaMode === 0 ? event.deltaY : event.deltaY * 16; // otherwise lines
    const speed = event.ctrlKey ? 0.01 : 0.002; // Browsers report a pinch on a touchpad as a wheel with Ctrl.
    this.#zoomTo(this.#place.scale * Math.exp(-pixels * speed), this.#pointOf(event));
  }

  /** @param {MouseEvent} event */
  #onDoubleClick(event) {
    if (this.#place.scale > 1) this.reset();
    else this.#zoomTo(DOUBLE_CLICK_SCALE, this.#pointOf(event));
  }

  /** @param {PointerEvent} event */
  #onPointerDown(event) {
    if (event.button !== 0) return;
    const point = this.#pointOf(event);
    this.#pointers.set(event.pointerId, point);
    this.#frame.setPointerCapture(event.pointerId);
    const canSwipe = event.pointerType === "touch" && this.#place.scale === 1 && this.#pointers.size === 1;
    this.#swipeStart = canSwipe ? point : null;
  }

  /** @param {PointerEvent} event */
  #onPointerMove(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const point = this.#pointOf(event);
    const [other] = [...this.#pointers].filter(([id]) => id !== event.pointerId).map(([, one]) => one);
    this.#pointers.set(event.pointerId, point);
    if (other) this.#pinch(before, point, other);
    else if (this.#swipeStart) this.#draw({ scale: 1, x: point.x - this.#swipeStart.x, y: 0 });
    else this.#moveBy(point.x - before.x, point.y - before.y);
  }

  /** @param {Point} before @param {Point} after @param {Point} other */
  #pinch(before, after, other) {
    const centre = { x: (after.x + other.x) / 2, y: (after.y + other.y) / 2 };
    this.#moveBy((after.x - before.x) / 2, (after.y - before.y) / 2);
    this.#zoomTo(this.#place.scale * (distance(after, other) / (distance(before, other) || 1)), centre);
  }

  /** @param {number} x @param {number} y */
  #moveBy(x, y) {
    if (this.#place.scale === 1) return;
    this.#place = { ...this.#place, x: this.#place.x + x, y: this.#place.y + y };
    this.#apply();
  }

  /** @param {PointerEvent} event */
  #onPointerUp(event) {
    const start = this.#swipeStart;
    this.#pointers.delete(event.pointerId);
    this.#swipeStart = null;
    if (!start) return;
    const { x, y } = this.#pointOf(event);
    const isSwipe = Math.abs(x - start.x) > MIN_SWIPE && Math.abs(x - start.x) > 1.5 * Math.abs(y - start.y);
    this.#draw(this.#place);
    if (event.type === "pointerup" && isSwipe) this.#options.onSwipe(x < start.x ? 1 : -1);
  }
}
