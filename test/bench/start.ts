/**
 * Times a bundle from its import to its first answer: `node test/bench/start.ts MODULE EXPORT EVENT` imports it as
 * Lambda does and prints one line of JSON. With the event `null` it stops after the import.
 */
const [modulePath, exportName, event] = process.argv.slice(2) as [string, string, string];
const began = performance.now();
const module = (await import(modulePath)) as Record<string, (event: unknown, context: object) => Promise<unknown>>;
const importMs = performance.now() - began;
let answer: unknown = null;
if (event !== 'null') {
  answer = await module[exportName]!(JSON.parse(event), { getRemainingTimeInMillis: () => 900_000 });
}
const totalMs = performance.now() - began;
console.log(JSON.stringify({ importMs, totalMs, answer }));
// Open connections would keep the process alive.
process.exit(0);
