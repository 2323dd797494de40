/** How long to wait after a crash, and when to give up. */

export const WINDOW_MS = 3 * 60 * 1000;
export const MOST_RESTARTS = 5;
export const FIRST_DELAY_MS = 500;

/** Counts the crashes of the last three minutes. The delay doubles with each; after five restarts it gives up. */
export class BackOff {
  private crashes: number[] = [];

  constructor(private readonly now: () => number = Date.now) {}

  /** Records a crash. Returns the delay before the next start in ms, or undefined if there should be none. */
  afterCrash(): number | undefined {
    const now = this.now();
    this.crashes = [...this.crashes.filter((time) => now - time < WINDOW_MS), now];
    return this.count > MOST_RESTARTS ? undefined : FIRST_DELAY_MS * 2 ** (this.count - 1);
  }

  /** Crashes in this series. */
  get count(): number {
    return this.crashes.length;
  }

  /** The user starts the server: forget earlier crashes. */
  reset(): void {
    this.crashes = [];
  }
}
