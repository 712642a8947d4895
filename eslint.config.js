// ESLint's rules for the console (chalicelib/web). `make lint` runs it from .venv-node.

import globals from "./.venv-node/node_modules/globals/index.js";
import js from "./.venv-node/node_modules/@eslint/js/src/index.js";

export default [
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      eqeqeq: "error",
      "no-console": "error",
      "no-unused-vars": ["error", { ignoreRestSiblings: true }],
      "no-var": "error",
      "prefer-const": "error",
    },
  },
  { files: ["chalicelib/web/**"], languageOptions: { globals: globals.browser } },
];
