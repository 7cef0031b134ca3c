/** What shaders/build makes of a shader: the WGSL texts that it imports, and its own, which is the last. */
declare module "*.wgsl" {
  const shader: readonly string[];
  export default shader;
}
