// Work that is done once a frame at most; in a hidden tab, which has no frames, a few times a second.

const HIDDEN = 250; // milliseconds

export class Frame {
  private readonly work: () => void;
  private asked = false;

  constructor(work: () => void) {
    this.work = work;
  }

  ask(): void {
    if (this.asked) return;
    this.asked = true;
    if (document.hidden) setTimeout(this.run, HIDDEN);
    else requestAnimationFrame(this.run);
  }

  private readonly run = (): void => {
    this.asked = false;
    this.work();
  };
}
