/** When a model calibrates itself: the states of SelfCalibrator, and the same by way of the engine. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type RunHooks, SelfCalibrator } from "../../../src/api/calibration/self-calibration.ts";
import type { CalibrationResult, SelfCalibration } from "../../../src/api/types.ts";
import { openFake } from "./api-fake-engine.ts";

const IDLE = 1000;
const RESULT = { samples: 5 } as CalibrationResult;

describe("the states of a calibration that begins by itself", () => {
  let wanted: boolean;
  let refused: boolean;
  let events: string[];
  let steps: number;
  /** Milliseconds per step, tokens per step, and what the run does at its end. */
  let work: { ms: number; steps: number; end: () => CalibrationResult };
  let calibrator: SelfCalibrator;

  async function run({ pause, onProgress }: RunHooks): Promise<CalibrationResult> {
    for (steps = 0; steps < work.steps; steps++) {
      await pause();
      await new Promise((resolve) => setTimeout(resolve, work.ms));
      onProgress({ stage: "writing", loaded: steps + 1, total: work.steps });
    }
    return work.end();
  }
  const past = (ms: number) => vi.advanceTimersByTimeAsync(ms);
  /** Consecutive events of one kind as one. */
  const states = () => events.filter((state, i) => state !== events[i - 1]);

  beforeEach(() => {
    vi.useFakeTimers();
    wanted = true;
    refused = false;
    events = [];
    steps = -1;
    work = { ms: 10, steps: 100, end: () => RESULT };
    calibrator = new SelfCalibrator(
      {
        wanted: () => wanted,
        run,
        report: (event: SelfCalibration) => void events.push(event.state),
        refuse: async () => {
          refused = true;
        },
      },
      IDLE,
    );
  });
  afterEach(async () => {
    const ended = calibrator.end();
    await past(10_000);
    await ended;
    vi.useRealTimers();
  });

  it("begins when the engine has been quiet, ends once, and never again", async () => {
    calibrator.consider();
    await past(IDLE - 1);
    expect(states()).toEqual(["waiting"]);
    expect(steps).toBe(-1);
    await past(3000);
    expect(states()).toEqual(["waiting", "running", "done"]);
    calibrator.begin()();
    await past(10_000);
    expect(events.filter((state) => state === "done")).toHaveLength(1);
  });

  it("does nothing where no policy lacks a calibration, until one does", async () => {
    wanted = false;
    calibrator.consider();
    calibrator.begin()();
    await past(10_000);
    expect(events).toEqual([]);
    wanted = true;
    calibrator.consider();
    await past(IDLE + 100);
    expect(states()).toEqual(["waiting", "running"]);
  });

  it("steps aside for a request within one step, and goes on where it was", async () => {
    calibrator.consider();
    await past(IDLE + 305);
    const at = steps;
    expect(at).toBeGreaterThan(20);
    const end = calibrator.begin();
    const other = calibrator.begin();
    await past(60_000);
    expect(steps).toBeLessThanOrEqual(at + 1);
    end();
    end();
    await past(60_000);
    expect(steps).toBeLessThanOrEqual(at + 1);
    other();
    await past(IDLE - 1);
    expect(steps).toBeLessThanOrEqual(at + 1);
    await past(3000);
    expect(steps).toBe(100);
    expect(states()).toEqual(["waiting", "running", "waiting", "running", "done"]);
  });

  it("is not begun by requests that follow each other", async () => {
    calibrator.consider();
    for (let i = 0; i < 20; i++) {
      const end = calibrator.begin();
      await past(IDLE);
      end();
      await past(IDLE / 2);
    }
    expect(steps).toBe(-1);
  });

  it("asks where it would take too long, by the speed of the first tokens alone", async () => {
    work = { ms: 200, steps: 1024, end: () => RESULT };
    calibrator.consider();
    await past(IDLE + 60 * 200);
    expect(states()).toEqual(["waiting", "running", "asking"]);
    expect(steps).toBeLessThan(40);
    calibrator.begin()();
    await past(60_000);
    expect(states().at(-1)).toBe("asking");
    expect(refused).toBe(false);
    await calibrator.stop();
    expect(refused).toBe(true);
  });

  it("does not take time that it waited for slowness", async () => {
    work = { ms: 50, steps: 1024, end: () => RESULT };
    calibrator.consider();
    await past(IDLE + 20 * 51);
    const end = calibrator.begin();
    await past(600_000);
    end();
    await past(IDLE + 1024 * 60);
    expect(states().at(-1)).toBe("done");
  });

  it("is stopped by the user for good, also before it began", async () => {
    calibrator.consider();
    await past(IDLE + 100);
    const stopped = calibrator.stop();
    await past(100);
    await stopped;
    const at = steps;
    expect(states()).toEqual(["waiting", "running", "stopped"]);
    expect(refused).toBe(true);
    calibrator.consider();
    await past(60_000);
    expect(steps).toBe(at);
  });

  it("tries once more after a failure, then says so", async () => {
    work.end = () => {
      throw new Error("no");
    };
    calibrator.consider();
    await past(60_000);
    expect(states()).toEqual(["waiting", "running", "waiting", "running", "failed"]);
  });
});

describe("an engine that calibrates itself", () => {
  const until = (events: SelfCalibration[], state: SelfCalibration["state"]) =>
    vi.waitFor(() => expect(events.at(-1)?.state).toBe(state), { timeout: 30_000 });

  it("learns, puts it in use and keeps it; a request in between is answered", async () => {
    const events: SelfCalibration[] = [];
    const onCalibration = (event: SelfCalibration) => void events.push(event);
    const { engine, fake } = await openFake({ calibrate: "auto", onCalibration });
    await until(events, "running");
    const answer = await engine.chat.completions.create({
      messages: [{ role: "user", content: "hi" }],
    });
    expect(answer.choices[0].message.content).toBe("hello");
    expect(fake.installed).toEqual([]);
    await until(events, "done");
    expect(fake.installed).toHaveLength(1);
    expect(fake.kept).toEqual(fake.installed);
    expect(events.at(-1)).toMatchObject({ result: { samples: 1024, kept: true } });
    expect(fake.refused).toBe(false);
    await engine.close();
  }, 60_000);

  it("leaves it to the user who asked for one, and to one who stopped it", async () => {
    const { engine, fake } = await openFake({ calibrate: "auto" });
    const text = "All this happened, more or less. ".repeat(20);
    await engine.calibrate({ texts: [text], samples: 200 });
    expect(fake.installed).toHaveLength(1);
    await engine.close();
    const events: SelfCalibration[] = [];
    const other = await openFake({ calibrate: "auto", onCalibration: (e) => void events.push(e) });
    await other.engine.stopCalibration();
    expect(other.fake.refused).toBe(true);
    await until(events, "stopped");
    await other.engine.close();
  });

  it.each([
    ["off", true],
    ["auto", false],
  ] as const)("does not under %s where it is wanted: %s", async (calibrate, wants) => {
    const events: SelfCalibration[] = [];
    const { engine, fake } = await openFake({
      calibrate,
      onCalibration: (e) => void events.push(e),
    });
    fake.wantsCalibration = wants;
    await new Promise((resolve) => setTimeout(resolve, 3000));
    expect(events.filter(({ state }) => state !== "waiting")).toEqual([]);
    expect(fake.log).not.toContain("start unnamed");
    await engine.close();
  });
});
