package kernel

var _ = testsAreNeverPartOfAnImage
