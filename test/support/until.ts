/** Waits until the condition holds; fails if it does not within eight seconds. */
export async function until(condition: () => boolean, what = 'the condition'): Promise<void> {
  const end = Date.now() + 8000;
  while (!condition()) {
    if (Date.now() > end) {
      throw new Error(`${what} did not come about`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
