// A plot of the last minutes. Its lines' colours are those of its legend, which is text that everybody can read.
import { useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { history, SHOWN, type Moment } from "./overview.ts";

export interface Line {
  name: string;
  /** What the line shows now, as text. */
  now: string;
  kind: "upstream" | "ours";
  faint?: boolean;
  value: (moment: Moment) => number | null | undefined;
}

interface Given {
  title: string;
  lines: readonly Line[];
  /** Times reach from microseconds to seconds; counts do not. */
  scale: "logarithmic" | "linear";
  format: (value: number) => string;
}

const HEIGHT = 150; // pixels

/** Seconds that are shown from the start. */
const LEAST = 60;

export function Plot({ title, lines, scale, format }: Given) {
  const place = useRef<HTMLDivElement>(null);
  const shown = useRef<uPlot | null>(null);
  const latest = useRef(lines);
  latest.current = lines;

  useEffect(() => {
    const host = place.current as HTMLDivElement;
    const plot = (shown.current = new uPlot(options(host, lines, scale, format), data(latest.current), host));
    const resized = new ResizeObserver(() => plot.setSize({ width: host.clientWidth, height: HEIGHT }));
    resized.observe(host);
    const leave = onTheme(() => plot.redraw());
    return () => (leave(), resized.disconnect(), plot.destroy());
  }, [scale]);
  useSignalEffect(() => shown.current?.setData(data(latest.current, history.value)));

  return (
    <figure class="plot">
      <figcaption>
        <h2>{title}</h2>
        <dl>
          {lines.map(({ name, now, kind, faint }) => (
            <div key={name} data-kind={kind} data-faint={faint ? "" : undefined}>
              <dt>{name}</dt>
              <dd>{now}</dd>
            </div>
          ))}
        </dl>
      </figcaption>
      <div class="canvas" ref={place} aria-hidden="true" />
    </figure>
  );
}

function data(lines: readonly Line[], told = history.value): uPlot.AlignedData {
  return [told.map(({ time }) => time), ...lines.map(({ value }) => told.map((one) => value(one) ?? null))];
}

function options(host: HTMLElement, lines: readonly Line[], scale: Given["scale"], format: Given["format"]): uPlot.Options {
  const figure = host.parentElement as HTMLElement;
  const ink = (): string => getComputedStyle(host).color;
  const line = (): string => getComputedStyle(host).borderBottomColor;
  const colour = (index: number): string => getComputedStyle(figure.querySelectorAll("dl > div")[index] as Element).color;
  const axis = { stroke: ink, font: "11px system-ui, sans-serif", ticks: { show: false } };
  return {
    width: host.clientWidth || 300,
    height: HEIGHT,
    padding: [10, 8, 0, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: true, range: (_, first, last) => [last - Math.min(SHOWN, Math.max(LEAST, last - first)), last] },
      y: scale === "logarithmic" ? { distr: 3, range: decades } : { range: (_, __, most) => [0, Math.max(1, most * 1.1)] },
    },
    axes: [
      { ...axis, grid: { show: false }, space: 70, size: 24, incrs: [60, 120], values: (_, times) => times.map(clock) },
      {
        ...axis,
        grid: { stroke: line, width: 1 },
        size: 54,
        space: 26,
        values: (_, values: (number | null)[]) => values.map((value) => (value === null ? "" : format(value))),
        ...(scale === "logarithmic" && { splits: powers }),
      },
    ],
    series: [
      {},
      ...lines.map(({ faint }, index) => ({
        stroke: () => colour(index),
        width: faint ? 1 : 1.75,
        ...(faint && { dash: [4, 3] }),
        points: { show: false },
      })),
    ],
  };
}

/** From a power of ten to a power of ten. */
function decades(_: uPlot, least: number | null, most: number | null): [number, number] {
  const low = Math.floor(Math.log10(Math.max(1e-6, least ?? 1e-4)));
  const high = Math.ceil(Math.log10(Math.max(1e-5, most ?? 1)));
  return [10 ** low, 10 ** Math.max(high, low + 1)];
}

/** Lines at powers of ten alone. */
function powers(_: uPlot, __: number, least: number, most: number): number[] {
  const first = Math.round(Math.log10(least));
  return Array.from({ length: Math.round(Math.log10(most)) - first + 1 }, (_, index) => 10 ** (first + index));
}

const clock = (time: number): string => new Date(time * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });

/** Call when light turns dark, or the other way. */
function onTheme(call: () => void): () => void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = new MutationObserver(call);
  system.addEventListener("change", call);
  chosen.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  return () => (system.removeEventListener("change", call), chosen.disconnect());
}
