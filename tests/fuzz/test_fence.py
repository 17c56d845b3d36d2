"""The fence, against the reference in `fence_stories`: on a file, and in memory."""

from tests.fuzz.effort import effort
from tests.fuzz.fence_stories import FenceStories, FenceStoriesInMemory

TestFenceStories = FenceStories.TestCase
TestFenceStories.settings = effort(15, steps=25)

TestFenceStoriesInMemory = FenceStoriesInMemory.TestCase
TestFenceStoriesInMemory.settings = effort(25, steps=25)
