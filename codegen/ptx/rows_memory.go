package ptx

const bulkComplete = ".mbarrier::complete_tx::bytes"

// memoryRows: ld, st, prefetch, createpolicy. Values are moved as bits,
// so the rows name widths only; 8-bit values live in 32-bit registers, extended as their type says.
func memoryRows() []row {
	rows := []row{
		{"ld.param.{u32,s32,f32,u64}", "=$1 [param]", ""},
		{"ld.param.u64/pointer", "=generic [param]", ""},
		{"ld.{global,shared}.u8", "=u32 [$1]", ""},
		{"ld.{global,shared}.s8", "=s32 [$1]", ""},
		{"ld.global.nc.u8", "=u32 [global]", ""},
		{"ld.global.nc.s8", "=s32 [global]", ""},
		{"st.{global,shared}.b8", "[$1] b32", ""},
		{"prefetch.global.{L1,L2}", "[global]", ""},
		{"prefetch.global.L2::{evict_last,evict_normal}", "[global]", ""},
		{"createpolicy.fractional.L2::{evict_last,evict_first,evict_normal,evict_unchanged}.b64", "=b64 f32#", ""},
	}
	const (
		widths   = ".{b16,b32,b64}"
		level1   = "{,.L1::no_allocate,.L1::evict_first,.L1::evict_last,.L1::evict_unchanged}"
		prefetch = "{,.L2::64B,.L2::128B,.L2::256B}"
		ordered  = "{volatile,relaxed.cta,relaxed.gpu,relaxed.sys,"
	)
	for _, v := range []struct{ suffix, widths, count string }{
		{"", widths, ""}, {".v2", widths, "2x"}, {".v4", ".{b16,b32}", "4x"},
	} {
		vw := v.suffix + v.widths
		rows = append(rows,
			row{"ld.shared" + vw, "=" + v.count + "$1 [shared]", ""},
			row{"ld.global{,.nc}" + level1 + prefetch + vw, "=" + v.count + "$4 [global]", ""},
			row{"ld.global{,.nc}" + level1 + ".L2::cache_hint" + prefetch + vw, "=" + v.count + "$4 [global] b64", ""},
			row{"st.shared" + vw, "[shared] " + v.count + "$1", ""},
			row{"st.global" + level1 + vw, "[global] " + v.count + "$2", ""},
			row{"st.global" + level1 + ".L2::cache_hint" + vw, "[global] " + v.count + "$2 b64", ""},
		)
	}
	return append(rows,
		row{"ld." + ordered + "acquire.cta,acquire.gpu,acquire.sys}.{global,shared}" + widths, "=$3 [$2]", ""},
		row{"st." + ordered + "release.cta,release.gpu,release.sys}.{global,shared}" + widths, "[$2] $3", ""},
	)
}

// atomicRows: atom and red, always with order and scope.
var atomicRows = []row{
	{"atom.{relaxed,acquire,release,acq_rel}.{cta,gpu,sys}.{global,shared}.add.{u32,s32,u64,f32}", "=$4 [$3] $4#", ""},
	{"atom.{relaxed,acquire,release,acq_rel}.{cta,gpu,sys}.{global,shared}.{min,max}.{u32,s32,u64,s64}", "=$5 [$3] $5#", ""},
	{"atom.{relaxed,acquire,release,acq_rel}.{cta,gpu,sys}.{global,shared}.{and,or,xor,exch}.{b32,b64}", "=$5 [$3] $5#", ""},
	{"atom.{relaxed,acquire,release,acq_rel}.{cta,gpu,sys}.{global,shared}.cas.{b32,b64}", "=$4 [$3] $4# $4#", ""},
	{"atom.{relaxed,acquire,release,acq_rel}.{cta,gpu,sys}.{global,shared}.{inc,dec}.u32", "=u32 [$3] u32#", ""},
	{"red.{relaxed,release}.{cta,gpu,sys}.{global,shared}.add.{u32,s32,u64,f32}", "[$3] $4#", ""},
	{"red.{relaxed,release}.{cta,gpu,sys}.{global,shared}.{min,max}.{u32,s32,u64,s64}", "[$3] $5#", ""},
	{"red.{relaxed,release}.{cta,gpu,sys}.{global,shared}.{and,or,xor}.{b32,b64}", "[$3] $5#", ""},
	{"red.{relaxed,release}.{cta,gpu,sys}.{global,shared}.{inc,dec}.u32", "[$3] u32#", ""},
	{"red.{relaxed,release}.{cta,gpu,sys}.global.add.noftz.f16x2", "[global] f16x2", ""},
	{"red.{relaxed,release}.{cta,gpu,sys}.global.add.noftz.bf16x2", "[global] bf16x2", "sm90@7.8"},
}

// asyncRows: cp.async, cp.async.bulk, mbarrier.
var asyncRows = []row{
	{"cp.async.ca.shared.global{,.L2::64B,.L2::128B,.L2::256B}", "[shared] [global] #", ""},
	{"cp.async.cg.shared.global{,.L2::64B,.L2::128B,.L2::256B}", "[shared] [global] #", ""},
	{"cp.async.{ca,cg}.shared.global{,.L2::64B,.L2::128B,.L2::256B}/zfill", "[shared] [global] # u32#", ""},
	{"cp.async.{ca,cg}.shared.global.L2::cache_hint{,.L2::64B,.L2::128B,.L2::256B}", "[shared] [global] # b64", ""},
	{"cp.async.{ca,cg}.shared.global.L2::cache_hint{,.L2::64B,.L2::128B,.L2::256B}/zfill", "[shared] [global] # u32# b64", ""},
	{"cp.async.commit_group", "", ""},
	{"cp.async.wait_group", "#", ""},
	{"cp.async.wait_all", "", ""},
	{"cp.async.mbarrier.arrive{,.noinc}.shared.b64", "[shared]", ""},

	{"mbarrier.init.shared.b64", "[shared] u32#", ""},
	{"mbarrier.inval.shared.b64", "[shared]", ""},
	{"mbarrier.arrive.shared.b64", "=b64 [shared]", ""},
	{"mbarrier.arrive.noComplete.shared.b64", "=b64 [shared] u32#", ""},
	{"mbarrier.test_wait.shared.b64", "=pred [shared] b64", ""},
	{"mbarrier.test_wait.parity.shared.b64", "=pred [shared] u32#", ""},
	{"mbarrier.arrive.shared.b64/count", "=b64 [shared] u32#", "sm90@7.8"},
	{"mbarrier.arrive.expect_tx.shared.b64", "=b64 [shared] u32#", "sm90@8.0"},
	{"mbarrier.expect_tx.relaxed.cta.shared::cta.b64", "[shared] u32#", "sm90@8.0"},
	{"mbarrier.try_wait.shared.b64", "=pred [shared] b64", "sm90@7.8"},
	{"mbarrier.try_wait.parity.shared.b64", "=pred [shared] u32#", "sm90@7.8"},
	{"mbarrier.try_wait.parity.shared.b64/hint", "=pred [shared] u32# u32#", "sm90@7.8"},

	{"cp.async.bulk.shared::cluster.global" + bulkComplete, "[shared] [global] u32# [shared]", "sm90@8.0"},
	{"cp.async.bulk.shared::cluster.global" + bulkComplete + ".L2::cache_hint", "[shared] [global] u32# [shared] b64", "sm90@8.0"},
	{"cp.async.bulk.global.shared::cta.bulk_group", "[global] [shared] u32#", "sm90@8.0"},
	{"cp.async.bulk.global.shared::cta.bulk_group.L2::cache_hint", "[global] [shared] u32# b64", "sm90@8.0"},
	{"cp.async.bulk.prefetch.L2.global", "[global] u32#", "sm90@8.0"},
	{"cp.async.bulk.commit_group", "", "sm90@8.0"},
	{"cp.async.bulk.wait_group{,.read}", "#", "sm90@8.0"},
}
