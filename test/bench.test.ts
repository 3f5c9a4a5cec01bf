/** What the benchmarks say of their figures. */
import { describe, expect, test } from "bun:test";
import { charts, html } from "../bench/report.ts";
import { cells, type Contest, isMissed, median, quantile, type Row, rowsOf, table } from "../bench/suite.ts";

const contest: Contest = {
  workload: "recv",
  bytes: 64,
  units: ["ns", "bytes"],
  runs: { here: () => [], C: () => [] },
  goals: { C: 1.05 },
  seconds: 1,
};

const row: Row = {
  workload: "recv",
  bytes: 64,
  peer: "C",
  unit: "ns/packet",
  ours: 1000,
  theirs: 1000,
  ratio: 1,
  spread: [0.9, 1.1],
};

test("a median leaves its values as they are, and lies between two", () => {
  const values = [30, 1, 20, 2];
  expect(median(values)).toBe(11);
  expect(median([...values, 3])).toBe(3);
  expect(quantile([0, 10], 0.25)).toBe(2.5);
  expect(values).toEqual([30, 1, 20, 2]);
});

describe("rows of a contest", () => {
  test("compare within a round, for a machine may drift", () => {
    const figures = {
      here: [
        [10, 1],
        [100, 1],
        [1000, 4],
      ],
      C: [
        [20, 2],
        [100, 2],
        [500, 2],
      ],
    };
    const rows = rowsOf(contest, figures);
    expect(rows).toEqual([
      {
        workload: "recv",
        bytes: 64,
        peer: "C",
        unit: "ns",
        ours: 100,
        theirs: 100,
        ratio: 1,
        spread: [0.75, 1.5],
        goal: 1.05,
      },
      { workload: "recv", bytes: 64, peer: "C", unit: "bytes", ours: 1, theirs: 2, ratio: 0.5, spread: [0.5, 1.25] },
    ]);
  });

  test("have what was lost in all rounds", () => {
    const counting = { ...contest, units: ["ns"], counts: true };
    const [only] = rowsOf(counting, {
      here: [
        [1, 0],
        [1, 0.5],
      ],
      C: [
        [1, 0],
        [1, 0],
      ],
    });
    expect(only).toMatchObject({ loss: [0.25, 0] });
    expect(isMissed(only!)).toBe(true); // of packets that were not received no goal is reached
  });

  test("stand alone where there is no peer, and the goal is of the figure", () => {
    const alone = { ...contest, units: ["bytes/packet"], runs: { here: () => [] }, goals: { here: 1 } };
    const [few, many] = [0.5, 2].map((bytes) => rowsOf(alone, { here: [[bytes]] })[0]!);
    expect(few).toMatchObject({ peer: null, theirs: null, ratio: null, ours: 0.5, goal: 1 });
    expect([few, many].map((one) => isMissed(one!))).toEqual([false, true]);
  });
});

test("a table has the columns that say something, and marks a missed goal", () => {
  const rows: Row[] = [
    { ...row, goal: 0.5 },
    { ...row, batch: 32, loss: [0.015, 0] },
  ];
  const [head, first, second] = cells(rows);
  expect(head).toContain("batch");
  expect(head).not.toContain("sockets");
  expect(first).toContain("≤ 0.5 missed");
  expect(second).toContain("1.5 %, 0");
  const lines = table(rows).split("\n");
  expect(lines.length).toBe(3);
  expect(lines.map((line) => line.indexOf("ns/packet")).slice(1)).toEqual(Array(2).fill(lines[0]!.indexOf("unit")));
});

describe("a report", () => {
  const rows: Row[] = [
    ...[1, 8, 32].map((batch) => ({ ...row, batch, loss: [0.25, 0] as [number, number] })),
    { ...row, workload: "a < b", ratio: 0, goal: 0.5 }, // no logarithm
    { ...row, workload: "growth", peer: null, theirs: null, ratio: null, unit: "bytes/packet", ours: 3, goal: 1 },
  ];
  const results = [{ title: "Packets", about: "of & for", rows, failed: ["ring"] }];

  test("has each row beside one chart, and the charts are of numbers", () => {
    const all = charts(results[0]!);
    expect(all.flatMap((chart) => chart.rows).toSorted((a, b) => rows.indexOf(a) - rows.indexOf(b))).toEqual(rows);
    expect(all.map((chart) => chart.title)).toEqual(["Packets", "recv, 64 B, as the batch grows"]);
    for (const { svg } of all) {
      expect(svg).toMatch(/^<svg [^]*<\/svg>$/);
      expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    }
    expect(all[0]!.svg).toContain("a &lt; b, 64 B");
    expect(all[1]!.svg).toContain("25 % lost"); // no rate without it
  });

  test("is a page of its own, without a script, that tells the missed goals", () => {
    const page = html(results, { processor: "a <b>" });
    expect(page).toContain("<dd>a &lt;b&gt;</dd>");
    expect(page).toContain("Goals missed: 1 of 2");
    expect(page).toContain("ring: it failed");
    expect(page).not.toMatch(/<script|<link|<img|src=|@import/);
    expect(page.match(/<tr/g)?.length).toBe(3 + rows.length + 1); // a head each, each row, and those missed once more
    expect(page.match(/<tr class="missed"/g)?.length).toBe(2);
  });
});
