import type { Colour } from './formats.js';

/** The sky above, the sky at the horizon, and how much light falls on the mountains, by the hour. */
const SKIES: readonly (readonly [hour: number, top: Colour, horizon: Colour, light: number])[] = [
  [0, [10, 14, 34], [24, 32, 62], 0.12],
  [5, [22, 28, 66], [92, 74, 110], 0.22],
  [7, [86, 116, 178], [250, 196, 150], 0.62],
  [12, [64, 132, 208], [190, 222, 240], 1],
  [17, [78, 118, 186], [248, 214, 160], 0.8],
  [19, [62, 70, 128], [242, 142, 92], 0.5],
  [21, [22, 26, 60], [96, 66, 104], 0.22],
  [24, [10, 14, 34], [24, 32, 62], 0.12],
];
const SUN: Colour = [255, 244, 214];
const RIDGES: readonly (readonly [base: number, height: number, pace: number, Colour])[] = [
  [440, 26, 130, [46, 74, 66]],
  [370, 34, 170, [84, 112, 122]],
  [305, 30, 210, [142, 162, 186]],
];

/**
 * Mountains at an hour of the day, in a picture of 960 by 540 points.
 * @param hour 0 to 24; the sun rises at 6 and sets at 20
 */
export function landscape(hour: number): (x: number, y: number) => Colour {
  const { top, horizon, light } = skyAt(hour);
  const day = (hour - 6) / 14;
  const sunX = 90 + 780 * day;
  const sunY = 320 - 215 * Math.sin(Math.PI * day);
  return (x, y) => {
    const ridge = RIDGES.find(([base, height, pace]) => y > skyline(x, base, height, pace));
    if (ridge) {
      // Air makes what is far away look like the sky
      const [base, , , colour] = ridge;
      return mixed(scaled(colour, light), horizon, (460 - base) / 400);
    }
    const glow = Math.min(1, 26 / Math.max(1, Math.hypot(x - sunX, y - sunY))) ** 1.6;
    return mixed(mixed(top, horizon, (y / 330) ** 1.4), SUN, glow);
  };
}

function skyline(x: number, base: number, height: number, pace: number): number {
  return base + height * Math.sin(x / pace) + (height / 2) * Math.sin(x / (pace / 2.7) + 1);
}

function skyAt(hour: number) {
  const next = SKIES.findIndex(([at]) => at >= hour && at > 0);
  const [from, fromTop, fromHorizon, fromLight] = SKIES[next - 1]!;
  const [to, toTop, toHorizon, toLight] = SKIES[next]!;
  const share = (hour - from) / (to - from);
  return {
    top: mixed(fromTop, toTop, share),
    horizon: mixed(fromHorizon, toHorizon, share),
    light: fromLight + (toLight - fromLight) * share,
  };
}

function mixed(one: Colour, other: Colour, share: number): Colour {
  const part = Math.max(0, Math.min(1, share));
  return [0, 1, 2].map((i) => Math.round(one[i]! + (other[i]! - one[i]!) * part)) as unknown as Colour;
}

function scaled([red, green, blue]: Colour, factor: number): Colour {
  return [red * factor, green * factor, blue * factor];
}
