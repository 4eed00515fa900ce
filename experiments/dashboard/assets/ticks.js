// Where the ticks of an axis stand.

/** Round values between `low` and `high`, about `wanted` of them. */
export function linearTicks(low, high, wanted) {
  const rough = (high - low) / Math.max(1, wanted);
  if (!(rough > 0)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return Array.from({ length: Math.max(0, count) }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

/** Of a logarithmic axis: 1, 2, 5 of each decade, or whole decades where there are many; linear ones in a short range. */
export function logTicks(low, high, wanted) {
  if (high / low < 8) return linearTicks(low, high, wanted).filter((value) => value > 0);
  const decades = Math.log10(high / low);
  const factors = decades > wanted ? [1] : decades > wanted / 2 ? [1, 3] : [1, 2, 5];
  const made = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    for (const factor of factors) made.push(Number((factor * 10 ** power).toPrecision(12)));
  }
  const skip = factors.length === 1 ? Math.ceil(decades / wanted) : 1;
  return made.filter((value, index) => value >= low && value <= high && index % skip === 0);
}
