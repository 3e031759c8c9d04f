// What every client asks, and what is right to hear; the other half is tests/clients/matrix.py.
// The test that starts us says where the gateway is, which model to ask, and whether its words are
// known to the letter.
import assert from "node:assert/strict";

export const { APERTURA_ROOT: root, APERTURA_KEY: key, APERTURA_MODEL: model } = process.env;
export const base = `${root}/v1`;
export const about = JSON.parse(process.env.APERTURA_MATRIX);
const scripted = process.env.APERTURA_SCRIPTED === "1";

export function checkWords(question, words) {
  if (scripted) assert.equal(words, about.said[question]);
  else assert.ok(words);
}

export function checkCall(name, given) {
  assert.equal(name, about.tool);
  if (scripted) assert.deepEqual(given, about.called);
  assert.equal(typeof given.city, "string");
  assert.ok(Number.isInteger(given.days));
}

export function checkUsage(input, output) {
  if (scripted) assert.deepEqual([input, output], about.usage);
  assert.ok(input > 0 && output > 0);
}

export async function collect(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}
