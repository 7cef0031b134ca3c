// fp4 (MXFP4: twice the numbers of E2M1). Levels: 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12.
//: import products/weights/weights_levels

const LEVELS = vec4(0x3020100u, 0xc080604u, 0xfdfeff00u, 0xf4f8fafcu);
