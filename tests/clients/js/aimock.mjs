// Starts aimock with the fixtures of tests/simulator, and with what its command line cannot be
// told: how documents are ranked.
import { LLMock } from "@copilotkit/aimock";

const [port, fixtures, key] = process.argv.slice(2);
const ranks = [
  { index: 2, relevance_score: 0.9 },
  { index: 0, relevance_score: 0.4 },
  { index: 1, relevance_score: 0.1 },
];
const auth = { apiKeys: [key] };
const mock = new LLMock({ port: Number(port), logLevel: "warn", auth });
mock.loadFixtureFile(fixtures).onRerank(/./, ranks);
await mock.start();
