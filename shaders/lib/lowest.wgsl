// Below every logit of attention, and finite: WGSL may take infinities for something else.
const LOWEST = -3.0e38;
