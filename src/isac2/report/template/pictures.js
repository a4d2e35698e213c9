// Averages: cut from their sheets, low-passed, turned, and drawn with a contrast of the viewer's choice.

const COLUMNS = 16; // tiles in a row of a sheet, as pictures.py lays them out
const TILES_A_SHEET = 256;

/** Images on sheets; each is handed out as an array of greys. */
class SheetReader {
  constructor(table) {
    this.box = table.box;
    this.window = table.window;
    this.addresses = table.sheets;
    this.sheets = new Map();
    this.tiles = new Map();
  }

  /** Context of a decoded sheet; decoded when it is first asked for. */
  async sheet(number) {
    if (!this.sheets.has(number)) {
      this.sheets.set(number, (async () => {
        const image = new Image();
        image.src = this.addresses[number];
        await image.decode();
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        const context = canvas.getContext("2d", { willReadFrequently: true });
        context.drawImage(image, 0, 0);
        return context;
      })());
    }
    return this.sheets.get(number);
  }

  /** Greys of one image, Float32Array (box * box). */
  async tile(index) {
    if (!this.tiles.has(index)) {
      const sheet = await this.sheet(Math.floor(index / TILES_A_SHEET));
      const place = index % TILES_A_SHEET;
      const { box } = this;
      const x = (place % COLUMNS) * box;
      const y = Math.floor(place / COLUMNS) * box;
      const { data } = sheet.getImageData(x, y, box, box);
      const greys = new Float32Array(box * box);
      for (let i = 0; i < greys.length; i += 1) greys[i] = data[4 * i];
      this.tiles.set(index, greys);
    }
    return this.tiles.get(index);
  }
}

/** Gaussian low-pass; sigma in pixels. The border is continued by its last pixel. */
function blurred(greys, box, sigma) {
  if (!(sigma > 0.15)) return greys;
  const reach = Math.min(box - 1, Math.ceil(3 * sigma));
  const kernel = Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-0.5 * ((i - reach) / sigma) ** 2));
  const total = kernel.reduce((sum, value) => sum + value, 0);
  const pass = (source, along, across) => {
    const result = new Float32Array(source.length);
    for (let a = 0; a < box; a += 1) {
      for (let b = 0; b < box; b += 1) {
        let sum = 0;
        for (let k = -reach; k <= reach; k += 1) {
          const place = Math.min(box - 1, Math.max(0, b + k));
          sum += kernel[k + reach] * source[a * across + place * along];
        }
        result[a * across + b * along] = sum / total;
      }
    }
    return result;
  };
  return pass(pass(greys, 1, box), box, 1);
}

/** The image turned by alpha (degrees) about its centre, then mirrored in x. */
function turned(greys, box, alpha, mirror) {
  if (!alpha && !mirror) return greys;
  const cos = Math.cos((alpha * Math.PI) / 180);
  const sin = Math.sin((alpha * Math.PI) / 180);
  const centre = Math.floor(box / 2);
  const result = new Float32Array(greys.length);
  const last = box - 1;
  for (let row = 0; row < box; row += 1) {
    for (let column = 0; column < box; column += 1) {
      const x = mirror ? centre - column : column - centre;
      const y = row - centre;
      // What came here was at R^-1 (x, y), with R = [[cos, sin], [-sin, cos]].
      const fromX = Math.min(last, Math.max(0, cos * x - sin * y + centre));
      const fromY = Math.min(last, Math.max(0, sin * x + cos * y + centre));
      const left = Math.min(last - 1, Math.floor(fromX));
      const top = Math.min(last - 1, Math.floor(fromY));
      const [u, v] = [fromX - left, fromY - top];
      const at = top * box + left;
      result[row * box + column] =
        (greys[at] * (1 - u) + greys[at + 1] * u) * (1 - v) +
        (greys[at + box] * (1 - u) + greys[at + box + 1] * u) * v;
    }
  }
  return result;
}

/** Draw greys between low (black) and high (white) into a canvas of the image's own size. */
function paint(canvas, greys, box, low, high, invert) {
  [canvas.width, canvas.height] = [box, box];
  const context = canvas.getContext("2d");
  const picture = context.createImageData(box, box);
  const pixels = new Uint32Array(picture.data.buffer);
  const gain = 255 / Math.max(1e-6, high - low);
  for (let i = 0; i < pixels.length; i += 1) {
    let grey = Math.min(255, Math.max(0, (greys[i] - low) * gain));
    if (invert) grey = 255 - grey;
    pixels[i] = 0xff000000 | (Math.round(grey) * 0x010101);
  }
  context.putImageData(picture, 0, 0);
}

/** Draw an image of a SheetReader as `view` asks: {contrast, sigma, invert, alpha, mirror}. */
async function drawImage(canvas, reader, index, view = {}) {
  let greys = await reader.tile(index);
  greys = blurred(greys, reader.box, view.sigma || 0);
  greys = turned(greys, reader.box, view.alpha || 0, view.mirror || 0);
  const [low, high] = reader.window[index];
  const middle = (low + high) / 2;
  const half = ((high - low) / 2) * 2 ** (-(view.contrast || 0) / 5);
  paint(canvas, greys, reader.box, middle - half, middle + half, view.invert);
}

/** Integers that payload.py packed. */
function unpacked(text, Kind) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new Kind(bytes.buffer);
}
