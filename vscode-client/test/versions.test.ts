import assert from "node:assert/strict";
import { test } from "node:test";

import { fits, isSupportedPython, newest, parseVersion, series } from "../src/versions";

test("a version is read up to what follows its numbers", () => {
  assert.deepEqual(parseVersion(" 3.14.0rc1\n"), { major: 3, minor: 14, text: "3.14.0rc1" });
  assert.deepEqual(parseVersion("0.1.0+local"), { major: 0, minor: 1, text: "0.1.0+local" });
  for (const text of ["", "3", "v3.11", "python 3.11"]) {
    assert.equal(parseVersion(text), undefined, text);
  }
});

test("Python 3.11 and later is supported", () => {
  for (const version of ["3.11.0", "3.12.1", "3.14.0rc1", "4.0"]) {
    assert.ok(isSupportedPython(version), version);
  }
  for (const version of ["2.7.18", "3.9.2", "3.10.14", "", "nonsense"]) {
    assert.ok(!isSupportedPython(version), version);
  }
});

test("the newest version is found by its numbers, not by its letters", () => {
  assert.equal(newest(["3.9.2", "3.10.1", "2.7.18", "x"]), "3.10.1");
  assert.equal(newest([]), undefined);
});

test("before 1.0 the minor version decides whether a server fits, later the major one", () => {
  assert.ok(fits("0.1.0", "0.1.7"));
  assert.ok(!fits("0.2.0", "0.1.7"));
  assert.ok(fits("1.4.0", "1.0.0"));
  assert.ok(!fits("1.0.0", "0.1.0"));
  assert.ok(!fits("2.0.0", "1.9.0"));
  assert.ok(!fits("unknown", "0.1.0"));
  assert.ok(!fits("", ""));
});

test("a series is the part of a version that has to agree", () => {
  assert.deepEqual(["0.1.3", "1.4.0", "odd"].map(series), ["0.1", "1", "odd"]);
});
