"""A script that returns whether the page counts down."""

from __future__ import annotations

A_TICK_CHANGES_THE_BAR = """(() => {
    const bar = document.querySelector("rect.left"), before = bar.getAttribute("width");
    tick();
    return bar.getAttribute("width") !== before;
})()"""
