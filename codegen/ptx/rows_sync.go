package ptx

// collectiveRows: what the lanes of a warp do together.
var collectiveRows = []row{
	{"shfl.sync.{up,down,bfly,idx}.b32", "=b32 b32 u32# u32# u32#", ""},
	{"shfl.sync.{up,down,bfly,idx}.b32/valid", "=b32|pred b32 u32# u32# u32#", ""},
	{"vote.sync.{all,any,uni}.pred", "=pred pred! u32#", ""},
	{"vote.sync.ballot.b32", "=b32 pred! u32#", ""},
	{"match.any.sync.{b32,b64}", "=b32 $1 u32#", ""},
	{"match.all.sync.{b32,b64}", "=b32|pred $1 u32#", ""},
	{"activemask.b32", "=b32", ""},
	{"redux.sync.{add,min,max}.{u32,s32}", "=$2 $2 u32#", ""},
	{"redux.sync.{and,or,xor}.b32", "=b32 b32 u32#", ""},
	{"elect.sync", "=b32|pred u32#", "sm90@8.0"},
}

// barrierRows: barriers, fences, and the order of grids.
var barrierRows = []row{
	{"bar.sync", "u32#", ""},
	{"bar.sync/count", "u32# u32#", ""},
	{"bar.arrive", "u32# u32#", ""},
	{"bar.red.popc.u32", "=u32 # pred!", ""},
	{"bar.red.{and,or}.pred", "=pred # pred!", ""},
	{"bar.warp.sync", "u32#", ""},
	{"membar.{cta,gl,sys}", "", ""},
	{"fence.{sc,acq_rel}.{cta,gpu,sys}", "", ""},
	{"fence.proxy.async{,.global,.shared::cta}", "", "sm90@8.0"},
	{"fence.mbarrier_init.release.cluster", "", "sm90@8.0"},
	{"barrier.cluster.arrive{,.release,.relaxed}.aligned", "", "sm90@8.0"},
	{"barrier.cluster.wait{,.acquire}.aligned", "", "sm90@8.0"},
	{"griddepcontrol.{launch_dependents,wait}", "", "sm90@7.8"},
}

// controlRows: ends of a thread, and what concerns the machine.
var controlRows = []row{
	{"ret", "", ""},
	{"exit", "", ""},
	{"trap", "", ""},
	{"nanosleep.u32", "u32#", ""},
	{"setmaxnreg.{inc,dec}.sync.aligned.u32", "#", "sm90a@8.0"},
}
