import assert from "node:assert/strict";
import { test } from "node:test";

import { BackOff, FIRST_DELAY_MS, MOST_RESTARTS, WINDOW_MS } from "../src/backOff";

test("the delay doubles, and after five restarts it is enough", () => {
  const backOff = new BackOff(() => 0);
  const delays = Array.from({ length: MOST_RESTARTS }, () => backOff.afterCrash());
  assert.deepEqual(delays, [500, 1000, 2000, 4000, 8000]);
  assert.equal(backOff.afterCrash(), undefined);
  assert.equal(backOff.count, MOST_RESTARTS + 1);
});

test("crashes of long ago do not count", () => {
  let now = 0;
  const backOff = new BackOff(() => now);
  for (let crash = 0; crash < 20; crash++) {
    assert.equal(backOff.afterCrash(), FIRST_DELAY_MS);
    now += WINDOW_MS;
  }
});

test("a start by the user clears the record", () => {
  const backOff = new BackOff(() => 0);
  backOff.afterCrash();
  backOff.afterCrash();
  backOff.reset();
  assert.equal(backOff.afterCrash(), FIRST_DELAY_MS);
});
