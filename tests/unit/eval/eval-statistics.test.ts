/** Intervals against scipy, quantiles against PyTorch (tests/reference/generators/make_interval_fixtures.py). */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { compareRows, highest } from "../../../src/eval/agreement.ts";
import {
  bootstrap,
  quantile,
  scores,
  student,
  studentQuantile,
  wilson,
} from "../../../src/eval/report/statistics.ts";

const file = readFileSync(new URL("../fixtures/intervals.json", import.meta.url), "utf8");
const fixture = JSON.parse(file) as {
  student_quantile: [number, number][];
  wilson: [number, number, number, number][];
  student: [number[], number, number][];
  bootstrap: [number[], number, number][];
  quantile: [number[], number, number][];
};

describe("statistics against scipy", () => {
  test.each(fixture.student_quantile)("Student's quantile with %d degrees", (freedom, wanted) => {
    expect(Math.abs(studentQuantile(freedom) / wanted - 1)).toBeLessThan(1e-9);
  });

  test.each(fixture.wilson)("Wilson's interval of %d out of %d", (hits, n, low, high) => {
    const found = wilson(hits, n);
    expect(found.value).toBe(hits / n);
    expect(found.low).toBeCloseTo(low, 10);
    expect(found.high).toBeCloseTo(high, 10);
  });

  test.each(fixture.student)("Student's interval of %j", (values, low, high) => {
    const found = student(values);
    expect(found.low).toBeCloseTo(low, 9);
    expect(found.high).toBeCloseTo(high, 9);
  });

  test.each(fixture.bootstrap)("the bootstrap of %j", (values, low, high) => {
    const found = bootstrap(values);
    // Means of n quarters are steps apart; two thousand resamples may end a step beside.
    const step = 1 / (4 * values.length) + 1e-9;
    expect(found.low).toBeGreaterThan(low - step);
    expect(found.low).toBeLessThan(low + step);
    expect(found.high).toBeGreaterThan(high - step);
    expect(found.high).toBeLessThan(high + step);
    expect(bootstrap(values)).toEqual(found);
  });

  test.each(fixture.quantile)("the quantile of %j at %d", (values, share, wanted) => {
    const before = [...values];
    expect(quantile(values, share)).toBeCloseTo(wanted, 12);
    expect(values).toEqual(before);
  });

  test("one sample has no interval, right or wrong has Wilson's, shares have the bootstrap's", () => {
    expect(student([0.5])).toEqual({ value: 0.5 });
    expect(bootstrap([0.5])).toEqual({ value: 0.5 });
    expect(scores([1, 0, 1])).toEqual(wilson(2, 3));
    expect(scores([1, 0.5, 0])).toEqual(bootstrap([1, 0.5, 0]));
  });
});

describe("agreement of logits", () => {
  test("KL and the most likely token, against the sums written out", () => {
    const rows = [
      [1, 2, 0.5, -1],
      [2, 1, 0.5, -1],
      [11, 12, 10.5, 9],
    ].map((row) => Float32Array.from(row));
    const p = rows.map((row) => {
      const sum = row.reduce((total, logit) => total + Math.exp(logit), 0);
      return Array.from(row, (logit) => Math.exp(logit) / sum);
    });
    const kl = p[0]!.reduce((sum, value, v) => sum + value * Math.log(value / p[1]![v]!), 0);
    const [itself, other, shifted] = compareRows(rows);
    expect(itself).toEqual({ kl: 0, same: true });
    expect(other!.kl).toBeCloseTo(kl, 12);
    expect(other!.same).toBe(false);
    expect(shifted!.kl).toBeCloseTo(0, 12);
    expect(shifted!.same).toBe(true);
    expect(compareRows([])).toEqual([]);
  });

  test("of two highest logits the lower id", () => {
    expect(highest(Float32Array.of(0, 3, 1, 3))).toBe(1);
  });
});
