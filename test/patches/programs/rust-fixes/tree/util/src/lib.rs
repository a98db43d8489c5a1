use std::fmt::Display;
pub enum Shape { Circle(u32), Square { side: u32 }, Empty }
pub trait Area { fn area(&self, n: u32) -> u32; }
pub struct Field { pub w: u32, pub h: u32 }
impl Area for Field {
    #[inline(never)]
    fn area(&self, n: u32) -> u32 { self.w * self.h + n }
}
#[inline(never)]
pub fn describe<T: Display>(t: T) -> String { format!("value {}", t) }
#[inline(never)]
pub fn shape(s: &Shape) -> u32 {
    match s { Shape::Circle(r) => 3 * r * r, Shape::Square { side } => side * side, Shape::Empty => 0 }
}
