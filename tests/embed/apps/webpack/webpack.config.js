export default { entry: "./main.js", devServer: { static: "public", hot: false } };
