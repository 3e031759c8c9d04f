// The unmodified `ai` with `@ai-sdk/openai-compatible`, set up as the service's own provider does.
import assert from "node:assert/strict";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, embedMany, generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";
import { about, base, each, key } from "./matrix.mjs";

const { hello, weather } = about.questions;
const made = (apiKey) => createOpenAICompatible({ name: "apertis", baseURL: base, apiKey });
const provider = made(key);
const asked = (model, prompt) => ({
  model: provider(model),
  system: "You are helpful.",
  prompt,
  maxRetries: 0,
});

function withTool(model, prompt, calls) {
  const execute = (given) => {
    calls.push(given);
    return about.result;
  };
  const inputSchema = jsonSchema(about.arguments);
  const tools = { [about.tool]: tool({ description: about.about, inputSchema, execute }) };
  return { ...asked(model, prompt), tools, stopWhen: stepCountIs(3) };
}

each("answer", async (model, check) => {
  const answer = await generateText(asked(model, hello));
  check.words(hello, answer.text);
  assert.equal(answer.finishReason, "stop");
  assert.ok(answer.response.modelId);
  check.usage(answer.usage.inputTokens, answer.usage.outputTokens);
});

each("stream", async (model, check) => {
  const errors = [];
  const stream = streamText({ ...asked(model, hello), onError: ({ error }) => errors.push(error) });
  check.words(hello, await stream.text);
  assert.equal(await stream.finishReason, "stop");
  assert.deepEqual(errors, []);
});

each("tool and its result", async (model, check) => {
  const calls = [];
  const answer = await generateText(withTool(model, weather, calls));
  assert.equal(calls.length, 1);
  check.call(about.tool, calls[0]);
  check.words(weather, answer.text);
  assert.deepEqual(answer.steps.map((step) => step.finishReason), ["tool-calls", "stop"]);
});

each("tool and its result, as streams", async (model, check) => {
  const calls = [];
  const stream = streamText(withTool(model, weather, calls));
  check.words(weather, await stream.text);
  assert.equal(calls.length, 1);
  check.call(about.tool, calls[0]);
});

// The client always sends `stop`, which the Responses format has no place for.
each("completion of a text", async (model, check) => {
  if (model.includes("responses")) {
    const asked = generateText({ model: provider.completionModel(model), prompt: hello });
    await assert.rejects(asked, /`stop` cannot be asked/);
    return;
  }
  const answer = await generateText({ model: provider.completionModel(model), prompt: hello });
  check.words(hello, answer.text);
});

each("embeddings", async (model) => {
  if (!about.embedders.includes(model)) return;
  const { embeddings } = await embedMany({
    model: provider.embeddingModel(model),
    values: ["A cat.", "A tree."],
  });
  assert.equal(embeddings.length, 2);
  assert.ok(embeddings.flat().every((number) => typeof number === "number"));
});

each("refusals", async (model, check) => {
  const question = asked(model, hello);
  const refused = (status) => (error) =>
    APICallError.isInstance(error) && error.statusCode === status;
  await assert.rejects(
    generateText({ ...question, model: made("sk-wrong")(model) }),
    refused(401),
  );
  await assert.rejects(
    generateText({ ...question, model: provider("no/such:model") }),
    refused(404),
  );
});
