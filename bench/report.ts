/** The report of all benchmarks: a page with charts and tables, without a script, and the same as JSON. */
import { cpus, release, totalmem, type } from "node:os";
import { ScatterChart, LineChart } from "echarts/charts";
import { GridComponent, LegendComponent, MarkLineComponent, TitleComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { SVGRenderer } from "echarts/renderers";
import { cells, isMissed, nameOf, percent, type Result, type Row, WORDS } from "./suite.ts";

echarts.use([GridComponent, LegendComponent, LineChart, MarkLineComponent, ScatterChart, SVGRenderer, TitleComponent]);

/** The machine and its programs. */
export function machine(): Record<string, string> {
  const processors = cpus();
  const version = (command: string, ...args: string[]): string => {
    const path = Bun.which(command);
    if (path === null) return "not there";
    const { stdout, stderr } = Bun.spawnSync([path, ...args]);
    return (stdout.toString() || stderr.toString()).trim();
  };
  const zig = Bun.spawnSync([`${import.meta.dir}/../node_modules/.bin/zig`, "version"])
    .stdout.toString()
    .trim();
  return {
    processor: `${processors[0]?.model.trim()}, ${processors.length} cores`,
    memory: `${(totalmem() / 2 ** 30).toFixed(1)} GiB`,
    kernel: `${type()} ${release()}`,
    Bun: `${Bun.version} (${Bun.revision.slice(0, 8)})`,
    Node: version("node", "--version"),
    CPython: version("python3", "--version"),
    "C compiler": `Zig ${zig}, -O2`,
    Rust: version("rustc", "--version"),
    date: new Date().toISOString(),
  };
}

// Readable on white and on black.
const COLORS = ["#3b82c4", "#d9822b", "#3d9a5f", "#b0508f", "#8f7a1f", "#7a6fd0", "#2a9d9d", "#a05a3c", "#808890"];
const MISSED = "#e0314a";
const WIDTH = 860;

/** Text and lines have the colour of the page's text. */
const ink = (opacity: number) => ({ color: "currentColor", opacity });
const axis = (name: string) => ({
  name,
  nameLocation: "middle" as const,
  nameGap: 32,
  nameTextStyle: { color: "currentColor" },
  axisLabel: { color: "currentColor" },
  axisLine: { show: true, lineStyle: ink(0.5) },
  axisTick: { lineStyle: ink(0.5) },
  splitLine: { lineStyle: ink(0.15) },
});

function draw(height: number, options: echarts.EChartsCoreOption): string {
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
  try {
    chart.setOption({
      animation: false,
      color: COLORS,
      textStyle: { fontFamily: "system-ui, sans-serif" },
      legend: { top: 0, textStyle: { color: "currentColor" }, itemGap: 28 },
      ...options,
    });
    return chart.renderToSVGString();
  } finally {
    chart.dispose(); // it would keep the process alive
  }
}

/** How wide a text is at most, whatever font the page is shown in. */
const widthOf = (name: string): number => 7.5 * name.length;

/** Where the chart begins, below its legend. */
const belowLegend = (names: string[]): number =>
  14 + 42 * Math.ceil(names.reduce((sum, name) => sum + widthOf(name) + 58, 0) / WIDTH);

/** A point for each ratio, by workload; a ring around it where it misses its goal. */
export function dots(rows: readonly Row[]): string {
  const compared = rows.filter((row) => row.ratio !== null);
  const nameIn = (row: Row): string =>
    compared.some((other) => nameOf(other) === nameOf(row) && other.unit !== row.unit)
      ? `${nameOf(row)}: ${row.unit}`
      : nameOf(row);
  const names = [...new Set(compared.map(nameIn))];
  const points = (of: Row[]) => of.map((row) => [Math.max(row.ratio!, 1e-4), nameIn(row)]);
  const peers = [...new Set(compared.map((row) => row.peer!))];
  const missed = compared.filter(isMissed);
  const silent = { type: "scatter", silent: true, emphasis: { disabled: true } };
  const top = belowLegend([...peers, "goal missed"]);
  return draw(top + 22 * names.length + 48, {
    grid: { top, bottom: 48, left: 16 + Math.max(...names.map(widthOf)), right: 24 },
    xAxis: { type: "log", ...axis("here / theirs: left of 1, it takes less here") },
    yAxis: {
      type: "category",
      data: names,
      inverse: true,
      ...axis(""),
      splitLine: { show: true, lineStyle: ink(0.1) },
    },
    series: [
      ...peers.map((peer, i) => ({
        ...silent,
        name: peer,
        symbolSize: 9,
        data: points(compared.filter((row) => row.peer === peer)),
        markLine:
          i > 0
            ? undefined
            : {
                silent: true,
                symbol: "none",
                label: { show: false },
                lineStyle: { ...ink(0.8), type: "solid" },
                data: [{ xAxis: 1 }],
              },
      })),
      ...(missed.length === 0
        ? []
        : [
            {
              ...silent,
              name: "goal missed",
              symbolSize: 16,
              itemStyle: { color: "transparent", borderColor: MISSED, borderWidth: 2 },
              data: points(missed),
            },
          ]),
    ],
  });
}

const PARAMETERS = { batch: "messages a call", sockets: "sockets", workers: "Workers" } as const;
type Parameter = keyof typeof PARAMETERS;

/** What a figure becomes as a parameter grows: a line for the library, and one for each peer. */
export function curve(rows: readonly Row[], parameter: Parameter): string {
  const values = [...new Set(rows.map((row) => row[parameter]!))].toSorted((a, b) => a - b);
  const peers = [...new Set(rows.map((row) => row.peer!))];
  const point = (figure: number | null, lost: number | undefined) => ({
    value: figure,
    // No rate without what was lost for it.
    label: { show: Boolean(lost), formatter: `${percent(lost ?? 0)} lost`, color: "currentColor", position: "top" },
  });
  const line = (name: string, find: (value: number) => Row | undefined, at: 0 | 1) => ({
    name,
    type: "line",
    silent: true,
    symbol: "circle",
    symbolSize: 7,
    connectNulls: true,
    emphasis: { disabled: true },
    labelLayout: { hideOverlap: true },
    data: values.map((value) => {
      const row = find(value);
      return point((at === 0 ? row?.ours : row?.theirs) ?? null, row?.loss?.[at]);
    }),
  });
  const counted = rows.filter((row) => row.loss !== undefined);
  const isLossless = counted.length > 0 && counted.every((row) => row.loss!.every((share) => share === 0));
  return draw(340, {
    grid: { top: belowLegend(["here", ...peers]), bottom: 48, left: 110, right: 24 },
    xAxis: {
      type: "category",
      data: values.map((value) => value.toLocaleString("en")),
      ...axis(PARAMETERS[parameter]),
    },
    yAxis: { type: "value", min: 0, ...axis(rows[0]!.unit + (isLossless ? ", nothing lost" : "")), nameGap: 84 },
    series: [
      line("here", (value) => rows.find((row) => row[parameter] === value), 0),
      ...peers.map((peer) =>
        line(peer, (value) => rows.find((row) => row[parameter] === value && row.peer === peer), 1),
      ),
    ],
  });
}

/** A chart and what it shows. */
export interface Chart {
  title: string;
  svg: string;
  rows: Row[];
}

/** The charts of a section: a curve wherever something grows, and one for all the rest. Each row is in one of them. */
export function charts({ title, rows }: Result): Chart[] {
  const groups = Map.groupBy(rows, (row) => JSON.stringify([row.workload, row.bytes, row.unit]));
  const curves: Chart[] = [];
  const rest: Row[] = [];
  for (const group of groups.values()) {
    const { workload, bytes } = group[0]!;
    const grows = (Object.keys(PARAMETERS) as Parameter[]).find(
      (parameter) => new Set(group.map((row) => row[parameter])).size > (parameter === "workers" ? 1 : 2),
    );
    if (grows === undefined) rest.push(...group);
    else {
      const name = `${nameOf({ workload, bytes })}, as ${grows === "batch" ? "the batch grows" : `${PARAMETERS[grows]} grow`}`;
      curves.push({ title: name, svg: curve(group, grows), rows: group });
    }
  }
  const hasRatio = rest.some((row) => row.ratio !== null);
  return rest.length === 0 ? curves : [{ title, svg: hasRatio ? dots(rest) : "", rows: rest }, ...curves];
}

const text = Bun.escapeHTML;

function htmlTable(rows: readonly Row[]): string {
  const [head = [], ...lines] = cells(rows);
  const cell = (tag: string, content: string, column: number): string =>
    `<${tag}${WORDS.has(head[column]!) ? "" : ' class="number"'}>${text(content)}</${tag}>`;
  const body = lines.map((line, i) => {
    const tag = isMissed(rows[i]!) ? '<tr class="missed">' : "<tr>";
    return `${tag}${line.map((content, column) => cell("td", content, column)).join("")}</tr>`;
  });
  return `<table><thead><tr>${head.map((name, i) => cell("th", name, i)).join("")}</tr></thead>
<tbody>${body.join("\n")}</tbody></table>`;
}

/** The page. */
export function html(results: readonly Result[], about: Record<string, string>): string {
  const rows = results.flatMap((result) => result.rows);
  const goals = rows.filter((row) => row.goal !== undefined);
  const missed = goals.filter(isMissed);
  const sections = results.map((result) => {
    const figures = charts(result).map(
      ({ title, svg, rows }) =>
        `<section>${title === result.title ? "" : `<h3>${text(title)}</h3>`}<div class="pair">${svg}${htmlTable(rows)}</div></section>`,
    );
    const failed = result.failed.map(
      (name) => `<p class="failed">${text(name)}: it failed, and there are no figures.</p>`,
    );
    return `<h2>${text(result.title)}</h2>\n<p>${text(result.about)}</p>\n${failed.join("\n")}${figures.join("\n")}`;
  });
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>berkeley-sockets: benchmarks</title>
<style>
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; padding: 0 1rem; max-width: 110rem; }
p { max-width: 50rem; }
.pair { display: flex; flex-wrap: wrap; gap: 1rem 2rem; align-items: flex-start; }
svg { max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
th, td { padding: 1px 8px; text-align: left; border-bottom: 1px solid color-mix(in srgb, currentColor 15%, transparent); white-space: nowrap; }
.number { text-align: right; }
.missed td, .failed { color: light-dark(#b3001e, #ff7a8a); font-weight: 600; }
dl { display: grid; grid-template-columns: max-content auto; gap: 0 1rem; }
dd { margin: 0; }
</style>
<h1>berkeley-sockets: benchmarks</h1>
<dl>${Object.entries(about)
    .map(([name, value]) => `<dt>${text(name)}</dt><dd>${text(value)}</dd>`)
    .join("\n")}</dl>
<p>All compared took turns, round by round. Figures are medians, and less is better of each. “here/theirs” is the median of the ratios of the rounds, “middle half” between what half of them lie. A goal counts as missed, too, if a packet was lost.</p>
${missed.length === 0 ? `<p>All ${goals.length} goals are reached.</p>` : `<h2>Goals missed: ${missed.length} of ${goals.length}</h2>\n${htmlTable(missed)}`}
${sections.join("\n")}
</html>
`;
}
