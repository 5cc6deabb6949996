/**
 * How counts, times and durations are written: as `src/text.rs` writes them, for what changes while
 * the page is open. All times are UTC.
 */

/** What stands where there is no value. */
export const NOTHING = "–";

const DECIMALS = 2;
const EXPONENT_FROM = 1e9;

/** `1234567` as `1,234,567`. @param {number} value */
export function count(value) {
  return String(Math.trunc(value)).replace(/\B(?=(\d{3})+$)/g, ",");
}

/**
 * A count, where it is known.
 * @param {number | null} value
 */
export function countOrUnknown(value) {
  return value === null ? "unknown" : count(value);
}

/** A float with two decimals, or with an exponent where it is very large. @param {number} value */
export function decimal(value) {
  if (!Number.isFinite(value)) return NOTHING;
  if (EXPONENT_FROM <= Math.abs(value)) return value.toExponential(3).replace("e+", "e");
  return value.toFixed(DECIMALS);
}

/** A rate: one decimal while it is small. @param {number | null} perSecond */
export function rate(perSecond) {
  if (perSecond === null || perSecond < 0) return NOTHING;
  return perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond));
}

/** The two greatest units of a duration: `1 min 2 s`. @param {number} millis */
export function duration(millis) {
  const seconds = Math.max(0, Math.floor(millis / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(seconds / 3600);
  const days = Math.floor(seconds / 86_400);
  if (seconds < 3600) return twoUnits(minutes, "min", seconds % 60, "s");
  if (seconds < 86_400) return twoUnits(hours, "h", minutes % 60, "min");
  return twoUnits(days, "d", hours % 24, "h");
}

/**
 * @param {number} great @param {string} greatUnit
 * @param {number} small @param {string} smallUnit
 */
function twoUnits(great, greatUnit, small, smallUnit) {
  return `${count(great)} ${greatUnit}${small === 0 ? "" : ` ${small} ${smallUnit}`}`;
}

/** The date and the time of day of a moment. @param {number} millis */
function civil(millis) {
  const [date, clock] = new Date(millis).toISOString().slice(0, -1).split("T");
  return { date, clock: clock.replace(/\.000$/, "") };
}

/** The date: `2026-03-01`. @param {number} millis */
export function date(millis) {
  return civil(millis).date;
}

/** The time of day, without parts of a second. @param {number | null} millis */
export function clock(millis) {
  return millis === null ? NOTHING : civil(millis).clock.slice(0, 8);
}

/** A window: `12:00:00 – 12:00:10`. @param {{start: number, end: number}} span */
export function window({ start, end }) {
  const [from, to] = [civil(start), civil(end)];
  return `${from.clock} – ${from.date === to.date ? "" : `${to.date} `}${to.clock}`;
}

/**
 * A key as it can be seen: control characters become their pictures, and so do the spaces of a key
 * that has nothing else.
 * @param {string} key
 */
export function visible(key) {
  const swallowed = key.trim() === "" ? /[\0-\x20\x7f]/g : /[\0-\x1f\x7f]/g;
  return key.replace(swallowed, (control) =>
    control === "\x7f" ? "\u2421" : String.fromCharCode(0x2400 + control.charCodeAt(0)),
  );
}
