// How fast an answer comes.

/** Time in which pieces must have come before there is anything to say of them, in milliseconds. */
const LEAST = 500;

/** Time after the first piece in which what comes may have been there before, as where a page was reloaded. */
const BURST = 250;

export class Rate {
  private begun: number | null = null;
  private first = 0;
  private last = 0;
  private before = 0;
  private pieces = 0;

  /** So many pieces have come, at this time in milliseconds. */
  count(pieces: number, now: number): void {
    if (pieces === 0) return;
    this.begun ??= now;
    if (now - this.begun < BURST) {
      this.first = now;
      this.before = pieces;
    }
    this.last = now;
    this.pieces = pieces;
  }

  /** Pieces per second since the first ones; null where that is too short a time. */
  get perSecond(): number | null {
    const time = this.last - this.first;
    return time < LEAST ? null : ((this.pieces - this.before) / time) * 1000;
  }
}
