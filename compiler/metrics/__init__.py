"""How good answers are: a figure, how many samples it rests on, an interval, and the same for each class.

    top1        share of samples whose largest score is the label's        labels [N]
    agreement   share of samples whose largest score is where another model has its own
    auc         area under the ROC curve of anomaly scores [N]             labels [N] of 0 and 1
    psnr        peak signal-to-noise ratio of images, in dB                references of the answers' shape
    mAP         mean average precision of detected boxes, as COCO does     boxes and classes of each sample

Arrays in, `Score` out; where labels or scores cannot be meant, a ModelError says why.
"""
