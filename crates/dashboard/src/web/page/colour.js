// Colours. All of them come from `style.css`, so that light and dark are decided in one place; orders of colours are told
// apart by people who do not see all of them, and no meaning rests on colour alone.

const style = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const HUES = 7;
const DASHES = ["", "6 3", "2 2.5", "8 3 2 3"];

/** The colour and dash of the curve at this place. */
export function ofPlace(place) {
  return { colour: style(`--hue-${place % HUES}`), dash: DASHES[Math.floor(place / HUES) % DASHES.length] };
}

export const ink = () => ({
  text: style("--text"), muted: style("--muted"), line: style("--line"), panel: style("--panel"), accent: style("--accent"),
  faint: style("--faint"),
});

// Viridis, sampled; monotone in lightness, so that it also reads in grey.
const VIRIDIS = [[68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141], [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37]];

const scheme = matchMedia("(prefers-color-scheme: dark)");

/** The colour of a share from 0 (worst) to 1 (best). The end that the background would swallow is left out. */
export function sequential(share) {
  const dark = scheme.matches;
  const clipped = Math.min(1, Math.max(0, share));
  const at = (dark ? 0.22 + 0.78 * clipped : 0.9 * clipped) * (VIRIDIS.length - 1);
  const [low, rest] = [Math.min(VIRIDIS.length - 2, Math.floor(at)), at - Math.min(VIRIDIS.length - 2, Math.floor(at))];
  const mix = VIRIDIS[low].map((from, channel) => Math.round(from + (VIRIDIS[low + 1][channel] - from) * rest));
  return `rgb(${mix.join(",")})`;
}

/** Whether text on that colour should be dark. */
export function needsDarkText(rgb) {
  const [red, green, blue] = rgb.match(/\d+/g).map(Number);
  return 0.299 * red + 0.587 * green + 0.114 * blue > 140;
}

/** Calls back when light becomes dark, or the other way round. */
export function onTheme(draw) {
  scheme.addEventListener("change", draw);
}

/** Symbol and words of states: not by colour alone. */
export const STATES = {
  completed: "✓", running: "▶", queued: "○", diverged: "≈", failed: "✕", cancelled: "–", waiting: "◐", stopped: "■",
  finished: "✓", interrupted: "‖", paused: "‖", pausing: "‖", killed: "✕",
};
