/**
 * Asks the job for its state, once a second while the page can be seen.
 *
 * @typedef {object} Span
 * @property {number} start epoch milliseconds
 * @property {number} end epoch milliseconds
 *
 * @typedef {object} Partition
 * @property {number} partition
 * @property {number} worker
 * @property {number} position
 * @property {number | null} lag
 * @property {number | null} max_event_time
 * @property {number | null} watermark
 * @property {string} state
 * @property {string} state_note
 * @property {number | null} last_record_at
 * @property {boolean} holds_back
 * @property {number} read
 * @property {number} late
 * @property {number} dead_letters
 * @property {number} skipped
 *
 * @typedef {object} Rows
 * @property {number} total
 * @property {number} matching
 * @property {number} page
 * @property {number} pages
 * @property {number} first
 * @property {string} count
 * @property {[string, (number | null)[]][]} shown
 * @property {string} note
 *
 * @typedef {object} Shown
 * @property {number} snapshot
 * @property {number} at
 * @property {string} phase
 * @property {string} condition
 * @property {string} condition_title
 * @property {string} condition_note
 * @property {string[]} troubles
 * @property {string} topic
 * @property {Span | null} window
 * @property {boolean} final
 * @property {number | null} watermark
 * @property {string} window_note
 * @property {string} watermark_note
 * @property {{read: number, windowed: number, late: number, dead_letters: number,
 *   reasons: {code: string, words: string, count: number}[], alarm: string | null,
 *   balance: string, doubtful: boolean}} ledger
 * @property {number} in_flight
 * @property {number} epoch
 * @property {number} final_rows
 * @property {number | null} records_per_second
 * @property {number | null} lag
 * @property {number} partitions_count
 * @property {Partition[]} partitions
 * @property {number} open_windows_count
 * @property {(Span & {keys: number, waits_for: string})[]} open_windows
 * @property {Rows} rows
 * @property {string | null} notice
 */

/** How often the job is asked. */
const EVERY_MS = 1000;
/** How long an answer may take. */
const PATIENCE_MS = 5000;

export class Poll {
  /** @type {string | null} */
  #tag = null;
  #query = "";
  #round = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {AbortController | undefined} */
  #asking;

  /**
   * @param {(shown: Shown) => void} shown called with each new state
   * @param {(reachable: boolean) => void} heard called after each question
   */
  constructor(shown, heard) {
    this.shown = shown;
    this.heard = heard;
    document.addEventListener("visibilitychange", () => this.ask());
  }

  /** Asks at once, from now on with this query. @param {string} query */
  use(query) {
    this.#query = query;
    this.#tag = null;
    this.ask();
  }

  /** Asks now, and goes on asking; not while the page is hidden. */
  async ask() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
    if (document.hidden) return;
    const round = ++this.#round;
    const began = performance.now();
    const asking = (this.#asking = new AbortController());
    const patience = setTimeout(() => asking.abort(), PATIENCE_MS);
    const answer = await this.#fetch(asking.signal);
    clearTimeout(patience);
    if (round !== this.#round) return;
    if (answer !== "lost" && answer !== "same") this.shown(answer);
    this.heard(answer !== "lost");
    const spent = performance.now() - began;
    this.#timer = setTimeout(() => this.ask(), Math.max(EVERY_MS - spent, EVERY_MS / 4));
  }

  /** @param {AbortSignal} signal @returns {Promise<Shown | "same" | "lost">} */
  async #fetch(signal) {
    try {
      /** @type {Record<string, string>} */
      const headers = this.#tag === null ? {} : { "If-None-Match": this.#tag };
      const response = await fetch(`/api/view${this.#query}`, { headers, signal, cache: "no-store" });
      if (response.status === 304) return "same";
      if (!response.ok) return "lost";
      const shown = await response.json();
      this.#tag = response.headers.get("ETag");
      return shown;
    } catch {
      return "lost";
    }
  }
}
