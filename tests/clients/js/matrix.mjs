// What every client asks, and what is right to hear; the other half is tests/clients/matrix.py.
// The test that starts us says where the gateway is, and which models to ask; each test is run for
// each of them, and has its name.
import assert from "node:assert/strict";
import test from "node:test";

export const { APERTURA_ROOT: root, APERTURA_KEY: key } = process.env;
export const base = `${root}/v1`;
export const about = JSON.parse(process.env.APERTURA_MATRIX);

// One test for each model: `run` is given the model and what checks its answers.
export function each(name, run) {
  for (const model of about.models) test(`${model}: ${name}`, () => run(model, checks(model)));
}

function checks(model) {
  const scripted = about.scripted.includes(model);
  return {
    words(question, words) {
      if (scripted) assert.equal(words, about.said[question]);
      else assert.ok(words);
    },
    call(name, given) {
      assert.equal(name, about.tool);
      if (scripted) assert.deepEqual(given, about.called);
      assert.equal(typeof given.city, "string");
      assert.ok(Number.isInteger(given.days));
    },
    usage(input, output) {
      if (scripted) assert.deepEqual([input, output], about.usage);
      assert.ok(input > 0 && output > 0);
    },
  };
}

export async function collect(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}
