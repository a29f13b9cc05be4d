//! The commands: how each begins, what it is for, and how long it is.

/// How many bytes follow a prefix.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// So many.
    Fixed(usize),
    /// A length of two bytes, the lower first, and so many.
    Counted,
    /// A length of four bytes and so many.
    CountedLong,
    /// A letter for the group, then as `Counted`.
    Group,
    /// m, then width in bytes and height in dots, two bytes each, and their product.
    Raster,
    /// m, then columns, two bytes: one or three bytes for each column.
    Columns,
    /// Width and height in units of eight dots, a byte each: eight bytes for each unit.
    Matrix,
    /// Up to and with a zero byte.
    ToZero,
    /// GS k: by its kind up to a zero byte, or counted by a byte.
    Barcode,
    /// GS V: one byte, or two where paper is fed first.
    Cut,
    /// DLE EOT: one byte, or two for the later kinds.
    Status,
    /// DLE DC4: by its function.
    RealTime,
    /// ESC &: height, first and last character, then width and columns of each.
    Glyphs,
    /// FS q: a count, then width, height and dots of each picture.
    Pictures,
}

/// How far a command reaches behind its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// So many bytes, whether they are there or not.
    Bytes(usize),
    /// It cannot be told before more bytes are there.
    More,
    /// The reference has no such parameter.
    Undefined,
}

impl Shape {
    pub(super) fn extent(self, bytes: &[u8]) -> Extent {
        self.length(bytes).unwrap_or(Extent::More)
    }

    fn length(self, bytes: &[u8]) -> Option<Extent> {
        let pair = |at: usize| word(bytes.get(at..)?);
        let first = || bytes.first().copied();
        let until_zero = |from: usize| {
            let end = bytes.get(from..)?.iter().position(|byte| *byte == 0)?;
            from.checked_add(end)?.checked_add(1)
        };
        let length = match self {
            Self::Fixed(length) => length,
            Self::Counted => pair(0)?.checked_add(2)?,
            Self::CountedLong => {
                let length = u32::from_le_bytes(*bytes.first_chunk()?);
                usize::try_from(length).ok()?.checked_add(4)?
            }
            Self::Group => pair(1)?.checked_add(3)?,
            Self::Raster => pair(1)?.checked_mul(pair(3)?)?.checked_add(5)?,
            Self::Columns => {
                let of_each = if matches!(first()?, 32 | 33) { 3 } else { 1 };
                pair(1)?.checked_mul(of_each)?.checked_add(3)?
            }
            Self::Matrix => {
                let [x, y] = *bytes.first_chunk()?;
                usize::from(x).checked_mul(usize::from(y))?.checked_mul(8)?.checked_add(2)?
            }
            Self::ToZero => until_zero(0)?,
            Self::Barcode => match first()? {
                0..=6 => until_zero(1)?,
                65..=79 => usize::from(*bytes.get(1)?).checked_add(2)?,
                _ => return Some(Extent::Undefined),
            },
            Self::Cut => match first()? {
                0 | 1 | b'0' | b'1' => 1,
                65 | 66 | 97 | 98 | 103 | 104 => 2,
                _ => return Some(Extent::Undefined),
            },
            Self::Status => match first()? {
                1..=6 => 1,
                7 | 8 | 18 => 2,
                _ => return Some(Extent::Undefined),
            },
            Self::RealTime => match first()? {
                1 | 2 => 3,
                3 => 6,
                7 => 2,
                8 => 8,
                _ => return Some(Extent::Undefined),
            },
            Self::Glyphs => glyphs(bytes)?,
            Self::Pictures => pictures(bytes)?,
        };
        Some(Extent::Bytes(length))
    }
}

fn word(bytes: &[u8]) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(*bytes.first_chunk()?)))
}

fn glyphs(bytes: &[u8]) -> Option<usize> {
    let [height, from, to] = *bytes.first_chunk()?;
    (from..=to).try_fold(3_usize, |at, _| {
        let wide = usize::from(*bytes.get(at)?);
        at.checked_add(1)?.checked_add(wide.checked_mul(usize::from(height))?)
    })
}

fn pictures(bytes: &[u8]) -> Option<usize> {
    (0..*bytes.first()?).try_fold(1_usize, |at, _| {
        let size = bytes.get(at..)?;
        let dots = word(size)?.checked_mul(word(size.get(2..)?)?)?.checked_mul(8)?;
        at.checked_add(4)?.checked_add(dots)
    })
}

/// One command.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) prefix: &'static [u8],
    pub(super) zh: &'static str,
    pub(super) en: &'static str,
    pub(super) shape: Shape,
}

/// The command that the bytes begin with: the one with the longest name.
pub(super) fn find(bytes: &[u8]) -> Option<&'static Entry> {
    ALL.iter().filter(|entry| bytes.starts_with(entry.prefix)).max_by_key(|entry| entry.prefix.len())
}

/// The bytes as the reference writes them.
pub(super) fn name(prefix: &[u8]) -> String {
    let words: Vec<String> = prefix
        .iter()
        .enumerate()
        .map(|(at, byte)| match (at, byte) {
            (_, 0x00) => "NUL".to_owned(),
            (_, 0x04) => "EOT".to_owned(),
            (_, 0x05) => "ENQ".to_owned(),
            (_, 0x09) => "HT".to_owned(),
            (_, 0x0A) => "LF".to_owned(),
            (_, 0x0C) => "FF".to_owned(),
            (_, 0x0D) => "CR".to_owned(),
            (_, 0x10) => "DLE".to_owned(),
            (_, 0x14) => "DC4".to_owned(),
            (_, 0x18) => "CAN".to_owned(),
            (_, 0x1B) => "ESC".to_owned(),
            (_, 0x1C) => "FS".to_owned(),
            (_, 0x1D) => "GS".to_owned(),
            (_, b' ') => "SP".to_owned(),
            (_, other) => char::from(*other).to_string(),
        })
        .collect();
    words.join(" ")
}

macro_rules! commands {
    ($($prefix:literal $shape:ident $(($count:literal))? $zh:literal, $en:literal;)+) => {
        const ALL: &[Entry] = &[$(Entry {
            prefix: $prefix, zh: $zh, en: $en, shape: Shape::$shape $(($count))?,
        }),+];
    };
}

commands! {
    b"\x00" Fixed(0) "空字节", "Nothing";
    b"\t" Fixed(0) "水平制表", "Tab";
    b"\n" Fixed(0) "打印并换行", "Print and feed a line";
    b"\x0C" Fixed(0) "打印并走纸到页首", "Print and go to the next form";
    b"\r" Fixed(0) "回车", "Carriage return";
    b"\x18" Fixed(0) "清除页模式数据", "Cancel data of page mode";
    b"\x10\x04" Status "实时状态请求", "Real-time status request";
    b"\x10\x05" Fixed(1) "实时请求", "Real-time request";
    b"\x10\x14" RealTime "实时指令", "Real-time order";
    b"\x1B\x0C" Fixed(0) "打印页模式数据", "Print data of page mode";
    b"\x1B " Fixed(1) "字符右间距", "Space right of characters";
    b"\x1B!" Fixed(1) "打印模式", "Print mode";
    b"\x1B$" Fixed(2) "绝对打印位置", "Absolute position";
    b"\x1B%" Fixed(1) "用户自定义字符", "User-defined characters";
    b"\x1B&" Glyphs "定义用户字符", "Define characters";
    b"\x1B(" Group "扩展指令", "Extended command";
    b"\x1B(A" Counted "蜂鸣器", "Buzzer";
    b"\x1B*" Columns "位图", "Bit image";
    b"\x1B-" Fixed(1) "下划线", "Underline";
    b"\x1B2" Fixed(0) "默认行间距", "Default line spacing";
    b"\x1B3" Fixed(1) "行间距", "Line spacing";
    b"\x1B=" Fixed(1) "选择外设", "Select peripheral";
    b"\x1B?" Fixed(1) "取消用户字符", "Cancel characters";
    b"\x1B@" Fixed(0) "初始化打印机", "Initialise";
    b"\x1BB" Fixed(2) "蜂鸣", "Beep";
    b"\x1BD" ToZero "制表位置", "Tab positions";
    b"\x1BE" Fixed(1) "加粗", "Bold";
    b"\x1BG" Fixed(1) "重叠打印", "Double strike";
    b"\x1BJ" Fixed(1) "打印并走纸(点)", "Print and feed dots";
    b"\x1BK" Fixed(1) "打印并退纸(点)", "Print and feed dots backwards";
    b"\x1BL" Fixed(0) "进入页模式", "Page mode";
    b"\x1BM" Fixed(1) "字体", "Font";
    b"\x1BR" Fixed(1) "国际字符集", "International characters";
    b"\x1BS" Fixed(0) "进入标准模式", "Standard mode";
    b"\x1BT" Fixed(1) "页模式打印方向", "Direction in page mode";
    b"\x1BV" Fixed(1) "旋转90度", "Turn by 90 degrees";
    b"\x1BW" Fixed(8) "页模式打印区域", "Area in page mode";
    b"\x1B\\" Fixed(2) "相对打印位置", "Relative position";
    b"\x1Ba" Fixed(1) "对齐方式", "Alignment";
    b"\x1Bc3" Fixed(1) "缺纸信号传感器", "Sensors for the paper-end signal";
    b"\x1Bc4" Fixed(1) "停止打印传感器", "Sensors that stop printing";
    b"\x1Bc5" Fixed(1) "面板按键", "Panel buttons";
    b"\x1Bd" Fixed(1) "打印并走纸(行)", "Print and feed lines";
    b"\x1Be" Fixed(1) "打印并退纸(行)", "Print and feed lines backwards";
    b"\x1Bi" Fixed(0) "全切纸(旧)", "Full cut (old)";
    b"\x1Bm" Fixed(0) "半切纸(旧)", "Partial cut (old)";
    b"\x1Bp" Fixed(3) "钱箱脉冲", "Drawer pulse";
    b"\x1Br" Fixed(1) "打印颜色", "Colour";
    b"\x1Bt" Fixed(1) "代码页", "Code page";
    b"\x1Bu" Fixed(1) "发送外设状态(旧)", "Send peripheral status (old)";
    b"\x1Bv" Fixed(0) "发送纸张状态(旧)", "Send paper status (old)";
    b"\x1B{" Fixed(1) "倒置打印", "Upside down";
    b"\x1C!" Fixed(1) "汉字打印模式", "Print mode of multi-byte characters";
    b"\x1C&" Fixed(0) "选择汉字模式", "Multi-byte characters on";
    b"\x1C(" Group "汉字扩展指令", "Extended command for multi-byte characters";
    b"\x1C(A" Counted "汉字字体", "Font of multi-byte characters";
    b"\x1C(C" Counted "字符编码", "Character encoding";
    b"\x1C(E" Counted "标志打印控制", "Logo control";
    b"\x1C-" Fixed(1) "汉字下划线", "Underline of multi-byte characters";
    b"\x1C." Fixed(0) "取消汉字模式", "Multi-byte characters off";
    b"\x1C2" Fixed(74) "定义用户汉字", "Define a multi-byte character";
    b"\x1C?" Fixed(2) "取消用户汉字", "Cancel a multi-byte character";
    b"\x1CC" Fixed(1) "汉字编码系统", "Code system of multi-byte characters";
    b"\x1CS" Fixed(2) "汉字间距", "Space beside multi-byte characters";
    b"\x1CW" Fixed(1) "汉字倍高倍宽", "Multi-byte characters of fourfold size";
    b"\x1Cp" Fixed(2) "打印已存位图", "Print a stored picture";
    b"\x1Cq" Pictures "存储位图", "Store pictures";
    b"\x1D!" Fixed(1) "字符大小", "Character size";
    b"\x1D$" Fixed(2) "页模式绝对纵向位置", "Absolute vertical position";
    b"\x1D(" Group "扩展指令", "Extended command";
    b"\x1D(A" Counted "打印自检", "Test print";
    b"\x1D(C" Counted "用户存储区", "User memory";
    b"\x1D(D" Counted "实时指令开关", "Real-time commands on or off";
    b"\x1D(E" Counted "用户设置", "User settings";
    b"\x1D(H" Counted "请求处理应答", "Request for a process answer";
    b"\x1D(K" Counted "打印控制", "Print control";
    b"\x1D(L" Counted "图形数据", "Graphics";
    b"\x1D(M" Counted "设置存取", "Customised settings";
    b"\x1D(N" Counted "字符样式", "Character style";
    b"\x1D(k" Counted "二维码", "Two-dimensional code";
    b"\x1D*" Matrix "定义下载位图", "Define a bit image";
    b"\x1D/" Fixed(1) "打印下载位图", "Print the bit image";
    b"\x1D:" Fixed(0) "宏定义开始/结束", "Begin or end of a macro";
    b"\x1D8L" CountedLong "图形数据(长)", "Graphics (long)";
    b"\x1DB" Fixed(1) "反白打印", "White on black";
    b"\x1DH" Fixed(1) "条码文字位置", "Place of a bar code's text";
    b"\x1DI" Fixed(1) "请求打印机标识", "Request for the printer's identity";
    b"\x1DL" Fixed(2) "左边距", "Left margin";
    b"\x1DP" Fixed(2) "移动单位", "Motion units";
    b"\x1DQ0" Raster "打印可变高位图", "Bit image of variable height";
    b"\x1DT" Fixed(1) "打印位置置于行首", "Go to the beginning of the line";
    b"\x1DV" Cut "切纸", "Cut";
    b"\x1DW" Fixed(2) "打印区域宽度", "Width of the print area";
    b"\x1D\\" Fixed(2) "页模式相对纵向位置", "Relative vertical position";
    b"\x1D^" Fixed(3) "执行宏", "Run the macro";
    b"\x1Da" Fixed(1) "自动状态回传", "Automatic status";
    b"\x1Db" Fixed(1) "平滑打印", "Smoothing";
    b"\x1Dc" Fixed(0) "打印计数", "Print the counter";
    b"\x1Df" Fixed(1) "条码文字字体", "Font of a bar code's text";
    b"\x1Dg0" Fixed(3) "维护计数清零", "Reset a maintenance counter";
    b"\x1Dg2" Fixed(3) "读取维护计数", "Request for a maintenance counter";
    b"\x1Dh" Fixed(1) "条码高度", "Height of bar codes";
    b"\x1Dj" Fixed(1) "墨水状态自动回传", "Automatic ink status";
    b"\x1Dk" Barcode "条码", "Bar code";
    b"\x1Dr" Fixed(1) "请求状态", "Request for status";
    b"\x1Dv0" Raster "光栅位图", "Raster image";
    b"\x1Dw" Fixed(1) "条码宽度", "Width of bar codes";
    b"\x1Dz0" Fixed(2) "联机恢复等待时间", "Waiting time for recovery";
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Goal: no command stands twice, and no name is a text that would be read as characters.
    #[test]
    fn every_command_stands_once() {
        for (at, entry) in ALL.iter().enumerate() {
            assert!(
                ALL.iter().skip(at + 1).all(|other| other.prefix != entry.prefix),
                "{}",
                name(entry.prefix)
            );
            assert!(entry.prefix[0] < 0x20, "{}", name(entry.prefix));
        }
    }
}
