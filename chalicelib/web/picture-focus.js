// The dialog that sets the focus of a picture, the point that square thumbnails keep in the middle.

import { Problem } from "./api.js";
import { showQuestion } from "./dialog.js";
import { announce, button, h, problemBox } from "./dom.js";
import { pictureElement } from "./item-card-and-row.js";
import { setFocus } from "./item-writes.js";

const FOCUS_STEP = 0.01;
const LARGE_FOCUS_STEP = 0.1; // with Shift
const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The point of a picture that pointer and arrow keys move. */
export class FocusPoint {
  /** @type {Focus} */
  value = { x: 0.5, y: 0.5 };
  #marker = h("span", {
    class: "focus-marker", tabIndex: 0, role: "slider", "aria-label": "Focus",
    "aria-valuemin": "0", "aria-valuemax": "100",
  });

  /** @param {Item} item */
  constructor(item) {
    const image = /** @type {ItemImage} */ (item.image);
    const picture = pictureElement(item, { sizes: "40rem", uncropped: true });
    this.element = h("div", { class: "focus-picture" }, picture, this.#marker);
    this.element.style.aspectRatio = `${image.width} / ${image.height}`;
    this.element.style.maxWidth = `${(50 * image.width) / image.height}dvh`; // so that its height is 50 dvh at most
    this.element.addEventListener("pointerdown", (event) => this.#onPointer(event));
    this.element.addEventListener("pointermove", (event) => event.buttons === 1 && this.#onPointer(event));
    this.#marker.addEventListener("keydown", (event) => this.#onKey(event));
    this.#moveTo(image.focus ?? this.value);
  }

  /** Move it to the point, or to the nearest one of the picture. @param {Focus} point */
  #moveTo(point) {
    const [x, y] = [point.x, point.y].map((at) => Math.round(1000 * Math.min(1, Math.max(0, at))) / 1000);
    this.value = { x, y };
    this.#marker.style.left = `${100 * x}%`;
    this.#marker.style.top = `${100 * y}%`;
    this.#marker.setAttribute("aria-valuenow", `${Math.round(100 * x)}`);
    const text = `${Math.round(100 * x)} % from the left, ${Math.round(100 * y)} % from the top`;
    this.#marker.setAttribute("aria-valuetext", text);
  }

  /** @param {PointerEvent} event */
  #onPointer(event) {
    event.preventDefault(); // Otherwise the picture is dragged, and the focus lost.
    const { left, top, width, height } = this.element.getBoundingClientRect();
    this.#moveTo({ x: (event.clientX - left) / width, y: (event.clientY - top) / height });
    this.#marker.focus();
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const direction = DIRECTIONS[/** @type {keyof typeof DIRECTIONS} */ (event.key)];
    if (!direction || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const step = event.shiftKey ? LARGE_FOCUS_STEP : FOCUS_STEP;
    this.#moveTo({ x: this.value.x + step * direction[0], y: this.value.y + step * direction[1] });
  }
}

/**
 * Have the user set the focus of an item's picture, which must be ready.
 * @param {Item} item
 */
export function askFocus(item) {
  const point = new FocusPoint(item);
  const problems = h("div", {});
  const save = async (/** @type {Focus | null} */ focus, /** @type {string} */ done) => {
    try {
      await setFocus(item, focus);
      question.close();
      announce(done);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      problems.replaceChildren(problemBox(problem));
    }
  };
  const question = showQuestion({},
    h("h2", { id: "question" }, "Set focus"),
    h("p", { class: "note" }, "Click the most important point of the picture, or move the marker with the arrow keys.",
      " Square thumbnails are cropped around it."),
    point.element, problems,
    h("div", { class: "row" },
      item.image?.focus && button("Remove focus", () => save(null, "Focus removed")),
      button("Cancel", () => question.close()),
      button("Save", () => save(point.value, "Focus set"), { class: "primary" })));
  question.classList.add("wide");
}
