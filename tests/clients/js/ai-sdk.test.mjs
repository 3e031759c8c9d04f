// The unmodified `ai` with `@ai-sdk/openai-compatible`, set up as the service's own provider does.
import assert from "node:assert/strict";
import test from "node:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embedMany, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { about, base, checkCall, checkUsage, checkWords, key, model } from "./matrix.mjs";

const { hello, weather } = about.questions;
const made = (apiKey) => createOpenAICompatible({ name: "apertis", baseURL: base, apiKey });
const provider = made(key);
const asked = (prompt) => ({ model: provider(model), system: "You are helpful.", prompt, maxRetries: 0 });

function withTool(prompt, calls) {
  const execute = (given) => {
    calls.push(given);
    return about.result;
  };
  const inputSchema = jsonSchema(about.arguments);
  const tools = { [about.tool]: tool({ description: about.about, inputSchema, execute }) };
  return { ...asked(prompt), tools, stopWhen: stepCountIs(3) };
}

test("answer", async () => {
  const answer = await generateText(asked(hello));
  checkWords(hello, answer.text);
  assert.equal(answer.finishReason, "stop");
  assert.ok(answer.response.modelId);
  checkUsage(answer.usage.inputTokens, answer.usage.outputTokens);
});

test("stream", async () => {
  const errors = [];
  const stream = streamText({ ...asked(hello), onError: ({ error }) => errors.push(error) });
  checkWords(hello, await stream.text);
  assert.equal(await stream.finishReason, "stop");
  assert.deepEqual(errors, []);
});

test("tool and its result", async () => {
  const calls = [];
  const answer = await generateText(withTool(weather, calls));
  assert.equal(calls.length, 1);
  checkCall(about.tool, calls[0]);
  checkWords(weather, answer.text);
  assert.deepEqual(answer.steps.map((step) => step.finishReason), ["tool-calls", "stop"]);
});

test("tool and its result, as streams", async () => {
  const calls = [];
  const stream = streamText(withTool(weather, calls));
  checkWords(weather, await stream.text);
  assert.equal(calls.length, 1);
  checkCall(about.tool, calls[0]);
});

test("completion of a text", async () => {
  const answer = await generateText({ model: provider.completionModel(model), prompt: hello });
  checkWords(hello, answer.text);
});

test("embeddings", { skip: !about.embedders.includes(model) }, async () => {
  const { embeddings } = await embedMany({
    model: provider.embeddingModel(model),
    values: ["A cat.", "A tree."],
  });
  assert.equal(embeddings.length, 2);
  assert.ok(embeddings.flat().every((number) => typeof number === "number"));
});

test("refusals", async () => {
  const refused = (status) => (error) => APICallError.isInstance(error) && error.statusCode === status;
  await assert.rejects(generateText({ ...asked(hello), model: made("sk-wrong")(model) }), refused(401));
  await assert.rejects(generateText({ ...asked(hello), model: provider("no/such:model") }), refused(404));
});
