// The rules of ESLint, which `make lint` runs from .venv-node.

import globals from "./.venv-node/node_modules/globals/index.js";
import js from "./.venv-node/node_modules/@eslint/js/src/index.js";

export default [
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "array-callback-return": "error",
      complexity: ["error", 10],
      "consistent-return": "error",
      eqeqeq: "error",
      "max-depth": ["error", 3],
      "max-len": ["error", { code: 120 }],
      "max-lines": ["error", { max: 300, skipBlankLines: true, skipComments: true }],
      "max-lines-per-function": ["error", { max: 40, skipBlankLines: true, skipComments: true }],
      "max-params": ["error", 4],
      "no-console": "error",
      "no-implicit-coercion": "error",
      "no-param-reassign": ["error", { props: false }],
      "no-shadow": "error",
      "no-throw-literal": "error",
      "no-unused-expressions": ["error", { allowShortCircuit: true, allowTernary: true }],
      "no-unused-vars": ["error", { ignoreRestSiblings: true }],
      "no-use-before-define": ["error", { classes: false, functions: false, variables: false }],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-template": "error",
    },
  },
  { files: ["chalicelib/web/**"], languageOptions: { globals: globals.browser } },
  // left out by make new: begin
  { files: ["bench/**"], languageOptions: { globals: globals.node }, rules: { "no-console": "off" } },
  // left out by make new: end
  {
    files: ["tests/web/**"],
    languageOptions: { globals: { ...globals.nodeBuiltin, ...globals.browser } },
    rules: { "max-lines-per-function": "off" },
  },
];
