// How fast an answer comes.

/** Time in which pieces must have come before there is anything to say of them, in milliseconds. */
const LEAST = 500;

export class Rate {
  private first: number | null = null;
  private last = 0;
  private before = 0;
  private pieces = 0;

  /** So many pieces have come, at this time in milliseconds. */
  count(pieces: number, now: number): void {
    if (pieces === 0) return;
    if (this.first === null) {
      this.first = now;
      this.before = pieces;
    }
    this.last = now;
    this.pieces = pieces;
  }

  /** Pieces per second since the first one; null where that is too short a time. */
  get perSecond(): number | null {
    const time = this.last - (this.first ?? this.last);
    return time < LEAST ? null : ((this.pieces - this.before) / time) * 1000;
  }
}
