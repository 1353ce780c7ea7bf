// The second opinion of make_template_vectors.py: renders chat templates with the
// npm package @huggingface/jinja.
//
//   node scripts/template_vectors.mjs FOLDER < CASES
//
// FOLDER holds node_modules with the package. CASES is a JSON list of
// [source, variables]; the answer is one of {"text": ...} or {"error": ...} each,
// and the package's version.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

const folder = process.argv[2];
if (!folder) {
  console.error("usage: node template_vectors.mjs FOLDER < CASES");
  process.exit(2);
}
const require = createRequire(resolve(folder, "package.json"));
const { Template } = require("@huggingface/jinja");
const main = require.resolve("@huggingface/jinja");
const version = JSON.parse(readFileSync(resolve(main, "../../package.json"), "utf8")).version;

function render([source, variables]) {
  try {
    return { text: new Template(source).render(variables) };
  } catch (error) {
    return { error: String(error.message) };
  }
}

const cases = JSON.parse(readFileSync(0, "utf8"));
process.stdout.write(JSON.stringify({ version, results: cases.map(render) }));
