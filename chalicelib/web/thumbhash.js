// Draws the blurred pictures that stand for pictures until they are loaded (evanw.github.io/thumbhash).

const MAX_SIDE = 32; // pixels

/**
 * Return a data URL of an opaque picture's ThumbHash, in the proportions of the picture; "" if the browser draws none.
 * @param {string} hash in base64
 * @param {{width: number, height: number}} picture
 */
export function placeholderUrl(hash, { width, height }) {
  const size = smallSize(width / height);
  const canvas = Object.assign(document.createElement("canvas"), size);
  const context = canvas.getContext("2d");
  if (!context) return "";
  const data = context.createImageData(size.width, size.height);
  data.data.set(pixelsOf(Uint8Array.from(atob(hash), (one) => one.charCodeAt(0)), size));
  context.putImageData(data, 0, 0);
  return canvas.toDataURL();
}

/** Return the size of 24 to 32 pixels whose proportions are the nearest. @param {number} ratio */
export function smallSize(ratio) {
  const sideOf = (/** @type {number} */ length) => Math.max(1, Math.round(length));
  const sizes = Array.from({ length: 9 }, (_, less) => MAX_SIDE - less).map((side) =>
    ({ width: sideOf(side * Math.min(1, ratio)), height: sideOf(side / Math.max(1, ratio)) }));
  const errorOf = (/** @type {{width: number, height: number}} */ size) => Math.abs(size.width / size.height - ratio);
  return sizes.reduce((best, size) => (errorOf(size) < errorOf(best) ? size : best));
}

/**
 * Return the pixels of a ThumbHash without alpha, as RGBA.
 * @param {Uint8Array} hash
 * @param {{width: number, height: number}} size
 */
export function pixelsOf(hash, { width, height }) {
  const bits = (/** @type {number} */ start, /** @type {number} */ count) => {
    let value = 0;
    for (let at = start; at < start + count; at += 1) value |= ((hash[at >> 3] >> (at & 7)) & 1) << (at - start);
    return value;
  };
  const [across, down] = bits(39, 1) ? [7, bits(24, 3)] : [bits(24, 3), 7];
  let position = 40;
  const channel = (/** @type {number[]} */ [mean, scale], /** @type {number[]} */ counts) => {
    const waves = wavesOf(counts[0], counts[1]).map((wave) => {
      position += 4;
      return { ...wave, strength: 2 * (bits(position - 4, 4) / 7.5 - 1) * scale };
    });
    return { mean, waves };
  };
  const light = channel([bits(0, 6) / 63, bits(18, 5) / 31], [Math.max(3, across), Math.max(3, down)]);
  const yellowBlue = channel([bits(6, 6) / 31.5 - 1, bits(27, 6) / 50.4], [3, 3]); // The saturation is increased.
  const redGreen = channel([bits(12, 6) / 31.5 - 1, bits(33, 6) / 50.4], [3, 3]);
  const [columns, rows] = [cosines(width), cosines(height)];
  const pixels = new Uint8ClampedArray(4 * width * height);
  for (let at = 0; at < width * height; at += 1) {
    const [x, y] = [at % width, Math.floor(at / width)];
    const [l, p, q] = [light, yellowBlue, redGreen].map(({ mean, waves }) =>
      waves.reduce((sum, one) => sum + one.strength * columns[one.x][x] * rows[one.y][y], mean));
    const blue = l - (2 / 3) * p;
    const red = (3 * l - blue + q) / 2;
    pixels.set([255 * red, 255 * (red - q), 255 * blue, 255], 4 * at);
  }
  return pixels;
}

/** Return the waves of a channel in their order. @param {number} across @param {number} down */
function wavesOf(across, down) {
  const all = Array.from({ length: across * down }, (_, at) => ({ x: at % across, y: Math.floor(at / across) }));
  return all.filter(({ x, y }) => x + y > 0 && x * down < across * (down - y));
}

/** Return the values of the waves 0 to 6 along a side. @param {number} length */
const cosines = (length) => Array.from({ length: 7 }, (_, wave) =>
  Array.from({ length }, (__, at) => Math.cos((Math.PI / length) * (at + 0.5) * wave)));
