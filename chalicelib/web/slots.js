// A limit of how many actions run at once.

/** Runs at most so many actions at once. The others wait in their order. */
export class Slots {
  #free;
  /** @type {(() => void)[]} */
  #waiting = [];

  /** @param {number} count */
  constructor(count) {
    this.#free = count;
  }

  /**
   * Run an action when a slot is free, and return its result. Throw the signal's reason if it aborts before that.
   * @template Result
   * @param {() => Promise<Result>} action
   * @param {AbortSignal} signal
   * @returns {Promise<Result>}
   */
  async run(action, signal) {
    if (this.#free > 0) this.#free -= 1;
    else await this.#nextSlot(signal);
    try {
      return await action();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }

  /** @param {AbortSignal} signal @returns {Promise<void>} */
  #nextSlot(signal) {
    return new Promise((resolve, reject) => {
      this.#waiting.push(resolve);
      signal.addEventListener("abort", () => {
        const index = this.#waiting.indexOf(resolve);
        if (index >= 0) this.#waiting.splice(index, 1);
        reject(signal.reason);
      });
    });
  }
}
