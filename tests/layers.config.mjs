/**
 * How files may import each other, checked by `npm run check`: no circle, type imports included, and nothing from a
 * layer above. The layers, lowest first.
 */
const LAYERS = [
  ["errors\\.ts", "defined\\.ts", "random\\.ts"],
  ["formats"],
  ["fetch"],
  ["text"],
  ["constraint"],
  ["gpu"],
  ["kernels"],
  ["cache"],
  ["model"],
  ["engine"],
  ["api", "eval", "node"],
  ["cli", "clients"],
];

/** @param {string[][]} layers */
const inFolders = (layers) => `^src/(${layers.flat().join("|")})(/|$)`;

/** @type {import("dependency-cruiser").IConfiguration} */
export default {
  forbidden: [
    { name: "no-circles", severity: "error", from: {}, to: { circular: true } },
    {
      name: "resolvable",
      severity: "error",
      from: { path: "^(src|workers|calibrate)/" },
      to: { couldNotResolve: true, pathNot: "\\.wgsl$" },
    },
    ...LAYERS.slice(0, -1).map((layer, i) => ({
      name: `no-layer-above-${String(layer[0]).replace("\\.ts", "")}`,
      severity: /** @type {const} */ ("error"),
      from: { path: inFolders([layer]) },
      to: { path: inFolders(LAYERS.slice(i + 1)) },
    })),
    {
      name: "src-stands-alone",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^(demo|tests)/" },
    },
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    exclude: { path: "\\.wgsl$|node_modules" },
  },
};
